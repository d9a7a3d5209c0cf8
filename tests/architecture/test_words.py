"""Docstrings are direct English: their sentences name things, and do not talk around them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "agents", "streams")

RIDDLES = re.compile(r"\b(what|whatever|whoever)\b", re.IGNORECASE)
RIDDLES_MAX = 0.02
"""The share of sentences that may match `RIDDLES`."""
FIRST_WORDS = re.compile(r"(What|Whatever|Whoever|Whose|Those)\b")

_CODE = re.compile(r"`[^`]*`")
_END = re.compile(r"[.!?]\s+")


def docstrings(module: ast.Module) -> Iterator[tuple[int, str]]:
    """The line and text of each docstring: of the module, its classes, functions and attributes."""
    for node in ast.walk(module):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        text = ast.get_docstring(node)
        if text is not None:
            yield node.body[0].lineno, text
        for statement, after in zip(node.body, node.body[1:], strict=False):
            if not isinstance(statement, ast.Assign | ast.AnnAssign) or not isinstance(after, ast.Expr):
                continue
            if isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
                yield after.lineno, after.value.value.strip()


def sentences(docstring: str) -> list[str]:
    """The sentences without their code spans, each on one line."""
    parts = _END.split(_CODE.sub("", docstring))
    return [" ".join(part.split()) for part in parts if part.strip()]


def everywhere() -> Iterator[tuple[str, str]]:
    """The place (file and line) and text of each docstring of the packages."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for line, text in docstrings(ast.parse(path.read_text("utf-8"))):
                yield f"{path.relative_to(ROOT)}:{line}", text


def test_few_sentences_hang_on_what_or_whoever() -> None:
    found = [(place, sentence) for place, text in everywhere() for sentence in sentences(text)]
    riddles = [f"{place}: {sentence}" for place, sentence in found if RIDDLES.search(sentence)]
    share = len(riddles) / len(found)
    print(f"{len(riddles)} of {len(found)} sentences ({share:.1%}):", *riddles, sep="\n  ")
    assert share < RIDDLES_MAX, "name the thing, or say who does it"


def test_no_docstring_begins_with_what_or_those() -> None:
    wrong = [f"{place}: {text.splitlines()[0]}" for place, text in everywhere() if FIRST_WORDS.match(text)]
    print(f"{len(wrong)} docstrings:", *wrong, sep="\n  ")
    assert not wrong, "begin with a noun or a verb"


def test_the_counter_finds_every_kind_of_docstring_and_skips_code() -> None:
    module = ast.parse(
        '"""Whatever: a module."""\n'
        "LIMIT = 1\n"
        '"""What is allowed."""\n'
        "class Part:\n"
        '    """A part. It says what it does; `what` is code."""\n'
        "    size: int = 0\n"
        '    """Those bytes."""\n'
        "    async def run(self) -> None:\n"
        '        """Run for whoever asks; `what` is code. Somewhat!"""\n'
        '        self.name = "what is no docstring"\n'
    )
    found = [sentence for _, text in docstrings(module) for sentence in sentences(text)]
    assert sorted(sentence for sentence in found if RIDDLES.search(sentence)) == [
        "It says what it does; is code.",
        "Run for whoever asks; is code",
        "What is allowed.",
        "Whatever: a module.",
    ]
    assert len(found) == 7
    assert sorted(line for line, text in docstrings(module) if FIRST_WORDS.match(text)) == [1, 3, 7]
