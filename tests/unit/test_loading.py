"""Components by reference."""

from collections.abc import Sequence
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from agents import loading
from agents.components import Call, Generator, Passage, Planner, Retriever, ToolExecutor
from agents.loading import COMPONENTS_GROUP, LoadingError, Resources, load_component, make_component
from agents.resilience.guarded import GuardedGenerator, GuardedPlanner, GuardedRetriever
from agents.tools.executor import RegistryExecutor
from agents.tools.registry import ToolRegistry
from schemas.question import Question
from tests.support.components import FakeGenerator, FakePlanner, FakeRetriever, FakeToolExecutor
from tests.support.guards import GuardEvents, whole_guard
from tests.support.tool_server import unused_client

HERE = __name__


RESOURCES = Resources(
    http=unused_client,
    retriever=FakeRetriever(),
    planner=FakePlanner(),
    tool_executor=FakeToolExecutor(),
    generator=FakeGenerator(),
)


class Shouting:
    """A retriever that wraps the default."""

    def __init__(self, inner: Retriever) -> None:
        self.inner = inner

    async def aretrieve(self, question: Question, call: Call) -> Sequence[Passage]:
        return await self.inner.aretrieve(question, call)


def make_shouting(resources: Resources) -> Retriever:
    return Shouting(resources.retriever)


class Factories:
    make = staticmethod(make_shouting)


class Blocking:
    def aretrieve(self, question: Question, call: Call) -> Sequence[Passage]:
        return ()


def make_blocking(resources: Resources) -> Blocking:
    return Blocking()


def make_class(resources: Resources) -> type:
    return Shouting


def make_trouble(resources: Resources) -> Retriever:
    raise RuntimeError("first line\nsecond line")


not_callable = 5


@pytest.mark.parametrize("reference", [f"{HERE}:make_shouting", f"{HERE}:Factories.make"])
async def test_a_factory_by_import_path_is_given_the_defaults(reference: str) -> None:
    retriever = make_component(reference, Retriever, RESOURCES)
    assert isinstance(retriever, Shouting)
    assert await retriever.aretrieve(Question(id="q", text="?"), Call("q", "retrieve", 0.0))


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("no_such_module:thing", "there is no module no_such_module"),
        ("tests.no_such_module:thing", "there is no module tests.no_such_module"),
        (f"{HERE}:thing", f"{HERE} has no attribute thing"),
        (f"{HERE}:Factories.thing", "has no attribute Factories.thing"),
        (f"{HERE}:not_callable", "is a int, which is not callable"),
        (f"{HERE}:", "must be module:attribute"),
        (":thing", "must be module:attribute"),
        (".relative:thing", "must be module:attribute"),
        ("mine", r"nor the name of an entry point of kotae\.components \(known: none\)"),
    ],
)
def test_a_reference_that_names_nothing_is_refused_with_the_reason(reference: str, message: str) -> None:
    with pytest.raises(LoadingError, match=message) as refused:
        load_component(reference)
    assert str(refused.value).startswith(reference)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_dependency", "importing broken_part failed: ModuleNotFoundError"),
        ("1/0", "ZeroDivisionError"),
    ],
)
def test_a_module_that_fails_to_import_is_told_apart(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, source: str, message: str
) -> None:
    (tmp_path / "broken_part.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(LoadingError, match=message):
        load_component("broken_part:make")


@pytest.mark.parametrize(
    ("reference", "protocol", "message"),
    [
        ("make_shouting", Planner, "a Planner needs the async method `aplan`, and Shouting has none"),
        ("make_shouting", ToolExecutor, "a ToolExecutor needs the method `offered`, and Shouting has none"),
        ("make_blocking", Retriever, "`aretrieve` of Blocking must be an `async def`"),
        ("make_class", Retriever, "returned the class Shouting, not an instance"),
        ("make_trouble", Retriever, "the factory failed: RuntimeError: first line second line"),
        ("Shouting.aretrieve", Retriever, "the factory failed: TypeError"),
    ],
)
def test_an_unfit_component_is_refused_with_the_missing_method(
    reference: str, protocol: type[Any], message: str
) -> None:
    with pytest.raises(LoadingError, match=message) as refused:
        make_component(f"{HERE}:{reference}", protocol, RESOURCES)
    assert "\n" not in str(refused.value)


def test_our_own_parts_pass() -> None:
    loading.check_component(RegistryExecutor(ToolRegistry()), ToolExecutor, "ours")
    guard = whole_guard(GuardEvents(), 0.0)
    loading.check_component(GuardedRetriever(FakeRetriever(), guard), Retriever, "ours")
    loading.check_component(GuardedPlanner(FakePlanner(), guard), Planner, "ours")
    loading.check_component(GuardedGenerator(FakeGenerator(), guard), Generator, "ours")


def offer(monkeypatch: pytest.MonkeyPatch, *entries: EntryPoint) -> None:
    monkeypatch.setattr(loading, "entry_points", lambda group: [e for e in entries if e.group == group])


def test_entry_points_are_loaded_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    good = EntryPoint("shouting", f"{HERE}:make_shouting", COMPONENTS_GROUP)
    offer(monkeypatch, good, good, EntryPoint("broken", f"{HERE}:nothing", COMPONENTS_GROUP))
    assert load_component("shouting") is make_shouting
    with pytest.raises(LoadingError, match=r"known: broken, shouting"):
        load_component("whispering")
    with pytest.raises(LoadingError, match=r"'broken' .*AttributeError"):
        load_component("broken")


def test_one_name_of_two_packages_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(
        monkeypatch,
        EntryPoint("a", f"{HERE}:make_shouting", "kotae.tools"),
        EntryPoint("a", f"{HERE}:make_blocking", "kotae.tools"),
    )
    with pytest.raises(LoadingError, match="two packages"):
        loading.load_entry_points("kotae.tools")
