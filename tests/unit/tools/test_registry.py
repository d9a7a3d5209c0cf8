"""Who is offered which tool."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.components import ToolSpec
from agents.tools.registry import ToolRegistry
from agents.tools.tool import ToolConfigError
from schemas.question import Question

OBJECT: dict[str, Any] = {"type": "object"}


class Inert:
    reconcile_url = ""

    def __init__(
        self, name: str, tenants: frozenset[str] | None = None, parameters: dict[str, Any] = OBJECT
    ) -> None:
        self.spec = ToolSpec(name, name, parameters, 1.0, idempotent=True)
        self.tenants = tenants
        self.closed = False

    async def arun(self, arguments: dict[str, Any], headers: dict[str, str]) -> Any:
        raise AssertionError("not to be called")

    async def aclose(self) -> None:
        self.closed = True


def ask(tenant: str = "default", tools: tuple[str, ...] | None = None) -> Question:
    return Question(id="q", text="?", tenant=tenant, tools=tools)


def names(registry: ToolRegistry, question: Question) -> list[str]:
    return [spec.name for spec in registry.offered(question)]


def test_a_tool_without_tenants_is_offered_to_every_tenant() -> None:
    registry = ToolRegistry([Inert("a"), Inert("b", frozenset({"acme"})), Inert("c", frozenset({"other"}))])
    assert names(registry, ask()) == ["a"]
    assert names(registry, ask("acme")) == ["a", "b"]
    assert names(registry, ask("other")) == ["a", "c"]
    assert registry.find("b", ask("other")) is None


def test_a_tenant_that_no_tool_names_adds_no_offer_of_its_own() -> None:
    registry = ToolRegistry([Inert("a"), Inert("b", frozenset({"acme"}))])
    assert all(registry.offered(ask(f"t{n}")) is registry.offered(ask()) for n in range(100))
    assert set(registry._offers) == {"acme"}


def test_a_long_list_of_allowed_tools_is_read_once_and_not_for_each_tool() -> None:
    compared = 0

    class Name(str):
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    registry = ToolRegistry([Inert(f"t{n}") for n in range(20)])
    assert names(registry, ask(tools=tuple(Name(f"n{n}") for n in range(1000)))) == []
    assert compared < 1000


@given(
    st.lists(
        st.tuples(st.sampled_from(["acme", "other", "x"]), st.none() | st.lists(st.sampled_from("abcz")))
    )
)
def test_a_question_leaves_the_offer_to_the_next_question_unchanged(
    asked: list[tuple[str, list[str] | None]],
) -> None:
    registry = ToolRegistry([Inert("a"), Inert("b", frozenset({"acme"})), Inert("c", frozenset({"other"}))])
    theirs = {"acme": {"a", "b"}, "other": {"a", "c"}, "x": {"a"}}
    for tenant, allowed in asked:
        question = ask(tenant, None if allowed is None else tuple(allowed))
        expected = theirs[tenant] if allowed is None else theirs[tenant] & set(allowed)
        for _ in range(2):
            assert set(names(registry, question)) == expected
            assert len(registry.offered(question)) == len(expected)
            assert {name for name in "abcz" if registry.find(name, question)} == expected


@pytest.mark.parametrize("name", ["", "with space", "天气", "a" * 65, "dot.ted", "new\nline", "trailing\n"])
def test_names_that_model_servers_refuse_are_refused_here(name: str) -> None:
    with pytest.raises(ToolConfigError, match="1 to 64"):
        ToolRegistry([Inert(name)])


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ToolConfigError, match=r"\[tools\.a\]: two tools have this name"):
        ToolRegistry([Inert("a"), Inert("a")])


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"type": "string"},
        {"type": "object", "properties": 3},
        {"type": "object", "properties": {"a": {"type": "objekt"}}},
        {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/schema.json"}}},
        {"type": "object", "properties": {"a": {"pattern": "("}}},
    ],
)
def test_an_invalid_schema_is_refused_in_one_line(parameters: dict[str, Any]) -> None:
    with pytest.raises(ToolConfigError, match=r"^\[tools\.a\] parameters: ") as refused:
        ToolRegistry([Inert("a", parameters=parameters)])
    assert "\n" not in str(refused.value)


def test_schemas_are_never_fetched() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/schema.json"}}}
    with pytest.raises(ToolConfigError, match="references to other documents are not fetched"):
        ToolRegistry([Inert("a", parameters=schema)])


def test_problems_are_short_and_say_where() -> None:
    schema = {
        "type": "object",
        "properties": {"where": {"type": "object", "properties": {"city": {"type": "string"}}}},
        "required": ["where"],
    }
    entry = ToolRegistry([Inert("a", parameters=schema)]).find("a", ask())
    assert entry is not None
    assert entry.problem({"where": {"city": "Paris"}}) == ""
    assert "where" in entry.problem({})
    assert entry.problem({"where": {"city": 7}}).startswith("where.city: ")
    assert len(entry.problem({"where": "x" * 100_000})) <= 200


def test_arguments_nested_without_end_are_a_problem_not_a_crash() -> None:
    nested: dict[str, Any] = {}
    for _ in range(900):
        nested = {"a": nested}
    schema = {"type": "object", "properties": {"a": {"const": "x"}}}
    entry = ToolRegistry([Inert("a", parameters=schema)]).find("a", ask())
    assert entry is not None
    assert entry.problem(nested)


async def test_closing_closes_every_tool() -> None:
    tools = [Inert("a"), Inert("b", frozenset({"acme"}))]
    await ToolRegistry(tools).aclose()
    assert all(tool.closed for tool in tools)


def test_a_tool_that_is_not_idempotent_cannot_be_cacheable() -> None:
    tool = Inert("order")
    tool.spec = replace(tool.spec, idempotent=False, cacheable=True)
    with pytest.raises(ToolConfigError, match=r"\[tools.order\] cacheable: .*idempotent"):
        ToolRegistry([tool])
