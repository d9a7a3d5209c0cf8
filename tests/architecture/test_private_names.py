"""Private names of other people's objects stay in adapters, which a linter of imports cannot see."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    path for package in ("schemas", "agents", "streams") for path in (ROOT / package).rglob("*.py")
)
NAMES = [str(path.relative_to(ROOT)) for path in MODULES]

# Each module with the names that it uses, so that an upgrade of the library is checked against this list.
ADAPTERS = {
    # aiokafka
    "streams/kafka/group_member.py": {
        "_client",
        "_coordination_task",
        "_coordinator",
        "_do_heartbeat",
        "_fetcher",
        "_heartbeat_task",
        "_subscription",
    },
    "streams/kafka/authorization.py": {"_send_request"},
    "streams/kafka/topic_settings.py": {"_send_request"},
    "streams/kafka/header_names.py": {"_buffer", "_num_records", "_pos"},
    # aiohttp
    "agents/http/pool.py": {"_retry_connection"},
    # Python
    "streams/telemetry/loop_monitor.py": {"_current_frames", "_run"},
}

# The modules that open aiokafka's clients. All others are handed one, or a factory of one.
CLIENTS = {"AIOKafkaConsumer", "AIOKafkaProducer", "AIOKafkaAdminClient"}
OPEN_CLIENTS = {
    "streams/client/asking.py",
    "streams/ingestion/sending.py",
    "streams/kafka/reading.py",
    "streams/kafka/topics.py",
    "streams/knowledge/consumer.py",
    "streams/local/trace_reader.py",
    "streams/operations/dead_letters.py",
    "streams/assembly/engine.py",
}


def own_names(module: ast.Module) -> set[str]:
    """The private names that the module's own classes define or set on themselves."""
    own = set()
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef):
            for statement in ast.walk(node):
                if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                    own.add(statement.name)
                elif isinstance(statement, ast.AnnAssign | ast.Assign):
                    targets = (
                        [statement.target] if isinstance(statement, ast.AnnAssign) else statement.targets
                    )
                    own |= {
                        target.id if isinstance(target, ast.Name) else target.attr
                        for target in targets
                        if isinstance(target, ast.Name)
                        or (isinstance(target, ast.Attribute) and is_itself(target.value))
                    }
    return own


def is_itself(value: ast.expr) -> bool:
    return (isinstance(value, ast.Name) and value.id in ("self", "cls")) or ast.unparse(value) == "super()"


def private_names(module: ast.Module) -> Iterator[str]:
    """The private attributes of objects that are neither the object itself nor of a class of this module."""
    own = own_names(module)
    for node in ast.walk(module):
        name = ""
        if isinstance(node, ast.Attribute) and not is_itself(node.value) and node.attr not in own:
            name = node.attr
        # Named by a text, an attribute is as private.
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr", "delattr"):
            name = str(node.args[1].value) if isinstance(node.args[1], ast.Constant) else ""
        if name.startswith("_") and not name.startswith("__"):
            yield name


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_private_names_of_other_objects_are_used_in_adapters_only(path: Path) -> None:
    used = set(private_names(ast.parse(path.read_text("utf-8"))))
    assert used == ADAPTERS.get(str(path.relative_to(ROOT)), set())


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("consumer._coordinator.generation", ["_coordinator"]),
        ("self._consumer._client.close()", ["_client"]),
        ("consumer._fetcher = None", ["_fetcher"]),
        ("getattr(consumer, '_subscription')", ["_subscription"]),
        ("self._mine; cls._ours; super()._inherited()", []),
        ("class C:\n    def _load(self): ...\n    def copy(self, other): other._load()", []),
        ("class C:\n    def __init__(self): self._a = 1\n    def copy(self, other): other._a", []),
        ("_private(); x.__class__; x.public", []),
    ],
)
def test_this_test_finds_private_names(code: str, found: list[str]) -> None:
    assert list(private_names(ast.parse(code))) == found


def test_aiokafka_clients_are_opened_where_it_is_listed() -> None:
    opening = {
        str(path.relative_to(ROOT))
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in CLIENTS
    }
    assert opening == OPEN_CLIENTS
