"""The rules of the house that can be checked by reading the code; `make lint` holds the layers."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "agents", "streams")
LINES_MAX = 300
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in MODULES]

# Modules that read about the machine and not about Kotae: where Java is, where caches belong.
READS_THE_ENVIRONMENT = {"streams/settings/reader.py", "streams/local/kafka_jars.py"}

# Calls that hold up the event loop, or hide a wait. Code that has to block runs in a thread.
BLOCKING = {"time.sleep", "requests.get", "requests.post", "urllib.request.urlopen", "os.system"}

MUTABLE_MAKERS = {"list", "dict", "set", "defaultdict", "deque", "Counter", "OrderedDict"}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def calls(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call | ast.Attribute):
            yield ast.unparse(node.func if isinstance(node, ast.Call) else node)


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_a_module_has_at_most_300_lines(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LINES_MAX


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_every_module_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(tree(path))


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_no_module_calls_a_blocking_function(path: Path) -> None:
    assert BLOCKING.isdisjoint(calls(tree(path)))


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_only_the_settings_reader_reads_the_environment(path: Path) -> None:
    reads = {"os.environ", "os.getenv", "tomllib.loads", "tomllib.load"} & set(calls(tree(path)))
    assert not reads or str(path.relative_to(ROOT)) in READS_THE_ENVIRONMENT


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_no_module_has_global_state(path: Path) -> None:
    module = tree(path)
    assert not [node for node in ast.walk(module) if isinstance(node, ast.Global)]
    empty = []
    for statement in module.body:
        value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
        if isinstance(value, ast.List | ast.Dict | ast.Set) and not ast.unparse(value).strip("[]{}"):
            empty.append(ast.unparse(statement))
        if isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] in MUTABLE_MAKERS:
            empty.append(ast.unparse(statement))
    assert empty == [], "a container that starts empty is there to be filled"


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_no_module_has_a_catch_all_name(path: Path) -> None:
    assert not {"utils", "helpers", "common", "manager", "misc"} & set(
        path.relative_to(ROOT).with_suffix("").parts
    )


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_every_suppressed_warning_has_a_reason(path: Path) -> None:
    bare = re.compile(r"# (noqa: [A-Z]+\d+(, ?[A-Z]+\d+)*|type: ignore\[[\w, -]+\])$")
    lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    above = ["", *lines]
    assert not [
        line for line, before in zip(lines, above, strict=False) if bare.search(line) and "#" not in before
    ]
