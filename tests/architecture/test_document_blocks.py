"""The product reads the code in the documents, so that it cannot rot."""

import asyncio
import contextlib
import importlib.util
import json
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from schemas.codec import (
    decode_answer,
    decode_cancel,
    decode_delta,
    decode_document,
    decode_feedback,
    decode_question,
)
from streams.assembly.answerer import build_answerer
from streams.cli.main import kotae
from streams.settings.reader import load_settings
from tests.support.components import RecordingObserver
from tests.support.markdown import Block, blocks, code_spans

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "ARCHITECTURE.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "tests/acceptance/released/README.md",
]
BLOCKS = [block for path in DOCUMENTS for block in blocks(path) if not block.exempt]
LANGUAGES = {"json", "python", "sh", "text", "toml", ""}
"""`text` is drawings; a block without a language stands in ARCHITECTURE.md, and is one, too."""
OTHERS = {"acls", "cd", "docker", "echo", "git", "kafka-acls.sh", "kcat", "pip", "sha256sum"}
"""Programs in blocks of shell that are not ours."""
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
FOLDERS = ("agents/", "compose/", "docs/", "schemas/", "streams/", "tests/")


def of(language: str) -> Any:
    return pytest.mark.parametrize(
        "block", [block for block in BLOCKS if block.language == language], ids=str
    )


def test_no_block_is_of_a_language_that_nobody_checks() -> None:
    assert {block.language for block in BLOCKS} <= LANGUAGES


# Python and TOML: the blocks of a page are put together and loaded as a worker would load them.


def modules_of(page: Path) -> dict[str, str]:
    """The Python blocks of a page that say in their first line which file they are."""
    found = {}
    for block in blocks(page):
        name = re.match(r"# (\w+/\w+\.py)\n", block.text) if block.language == "python" else None
        if name:
            found[name[1]] = block.text
    return found


@pytest.fixture
def on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that modules are imported from, and forgotten afterwards."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@of("python")
def test_python_is_imported(block: Block, on_the_path: Path) -> None:
    (on_the_path / "shown_in_a_document.py").write_text(block.text)
    importlib.import_module("shown_in_a_document")


@of("toml")
def test_toml_is_read_and_what_it_names_is_loaded(block: Block, on_the_path: Path) -> None:
    for name, text in modules_of(block.path).items():
        file = on_the_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    config = on_the_path / "kotae.toml"
    config.write_text(block.text)
    settings = load_settings(config, {}).settings
    answerer = build_answerer(settings, _every_variable(block.text), RecordingObserver())
    asyncio.run(answerer.aclose())


def _every_variable(text: str) -> dict[str, str]:
    return dict.fromkeys(re.findall(r'env = "(\w+)"', text), "a-secret")


# JSON: a message holds nothing that its codec would pass over.

FREE = {"metadata", "arguments", "result"}
"""Fields that hold anything."""


def unknown_fields(written: Any, read: Any, path: str = "") -> list[str]:
    """The paths in `written` that are not in `read`."""
    if isinstance(written, list) and isinstance(read, list):
        pairs = zip(written, read, strict=True)
        return [each for ours, theirs in pairs for each in unknown_fields(ours, theirs, f"{path}[]")]
    if not isinstance(written, Mapping):
        return []
    found = [f"{path}.{name}" for name in written if name not in read]
    for name in written.keys() & read.keys() - FREE:
        found += unknown_fields(written[name], read[name], f"{path}.{name}")
    return found


def check_message(text: str) -> None:
    """Fail unless it is a message of one kind, and nothing in it is of another."""
    problems = []
    decoders = (
        decode_question,
        decode_answer,
        decode_delta,
        decode_document,
        decode_cancel,
        decode_feedback,
    )
    for decode in decoders:
        try:
            message = decode(text.encode())
        except ValueError as error:
            problems.append(f"{error}")
            continue
        unknown = unknown_fields(json.loads(text), msgspec.to_builtins(message))
        if not unknown:
            return
        problems.append(f"{type(message).__name__} has no {', '.join(unknown)}")
    pytest.fail("; ".join(problems))


@of("json")
def test_json_is_a_message(block: Block) -> None:
    check_message(block.text)


# Shell: commands, options, targets and files are there.


def commands_of(text: str) -> Iterator[list[str]]:
    """The words of each command: of pipes each part, without comments and variables before it."""
    joined = re.sub(r"\\\n\s*", " ", text)
    joined = re.sub(r"\|\n\s*", "| ", joined)
    joined = joined.replace("'|'", "'a pipe in quotes'")
    for line in joined.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&()")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, "|"]:
            if word and set(word) <= set("|;&(){}"):
                if words:
                    yield words
                words = []
            elif words or not re.match(r"export$|\w+=", word):
                words.append(word)


def check_kotae(words: list[str], *, values: bool = True) -> None:
    """Fail unless the command and its options are there, and their values are allowed if `values`."""
    command: click.Command = kotae
    context, rest, name = None, words, "kotae"
    while isinstance(command, click.Group):
        context = click.Context(command, parent=context, info_name=name)
        _, rest, _ = command.make_parser(context).parse_args(list(rest))
        if not rest:
            return
        name, *rest = rest
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"there is no command {name!r}")
        command = found
    if values:
        command.make_context(name, rest, parent=context)
    else:
        context = click.Context(command, parent=context, info_name=name)
        # A text may name an option without a value for it.
        with contextlib.suppress(click.BadOptionUsage):
            command.make_parser(context).parse_args(rest)


def check_command(words: list[str]) -> None:
    """Fail unless the program of a command would take its words."""
    program, *rest = words
    if Path(program).name == "kotae":
        check_kotae(rest)
    elif program == "make":
        names = [word for word in rest if "=" not in word]
        variables = {word.partition("=")[0] for word in rest if "=" in word}
        makefile = (ROOT / "Makefile").read_text("utf-8")
        assert set(names) <= TARGETS, words
        assert all(re.search(rf"\b{name}\b", makefile) for name in variables), words
    elif Path(program).name == "python":
        assert rest[0] == "-m", words
        assert importlib.util.find_spec(rest[1]), words
    elif program == "." or Path(program).parts[0] in {".venv", ".venv-bench"}:
        return  # `make` puts them there
    else:
        assert program in OTHERS, f"a program that no test knows: {program}"


@of("sh")
def test_shell_names_what_is_there(block: Block) -> None:
    for words in commands_of(block.text):
        check_command(words)
        for word in words:
            if word.startswith(FOLDERS):
                assert (ROOT / word).exists(), word
            if word.startswith("user-7|"):
                check_message(word.partition("|")[2])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_within_the_text_are_there(document: Path) -> None:
    for code in code_spans(document):
        if "…" in code:
            continue
        if code.startswith("make "):
            check_command(shlex.split(code))
        if code.startswith("kotae "):
            check_kotae(shlex.split(code)[1:], values=False)
