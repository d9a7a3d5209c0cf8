"""HTTP tools as operators declare them."""

import tomllib
from typing import Any

import pytest

from agents.tools.http_tool import HttpTool
from agents.tools.python_tool import PythonTool
from agents.tools.table import table_tools
from agents.tools.tool import ToolConfigError
from tests.support.tool_server import unused_client

GOOD: dict[str, Any] = {"description": "Weather of a city.", "url": "https://example.com/weather"}


def declare(environ: dict[str, str] | None = None, **fields: Any) -> HttpTool:
    table = {"weather": {name: value for name, value in {**GOOD, **fields}.items() if value is not ...}}
    (made,) = table_tools(table, environ=environ or {}, http=unused_client, default_timeout_s=8.0)
    assert isinstance(made, HttpTool)
    return made


def test_the_whole_table_from_toml() -> None:
    table = tomllib.loads(
        """
        [tools.weather]
        description = "Weather of a city."
        url = "http://127.0.0.1:8080/weather"
        method = "GET"
        timeout_s = 2
        cacheable = true
        reconcile_url = "http://127.0.0.1:8080/ran"
        tenants = ["acme"]
        headers = { Authorization = { env = "WEATHER_KEY" }, X-Team = "qa" }
        [tools.weather.parameters]
        type = "object"
        required = ["city"]
        [tools.weather.parameters.properties.city]
        type = "string"
        """
    )["tools"]
    (tool,) = table_tools(table, environ={"WEATHER_KEY": "s3cret"}, http=unused_client, default_timeout_s=8.0)
    assert tool.spec.name == "weather"
    assert tool.spec.timeout_s == 2.0
    assert tool.spec.cacheable
    assert tool.spec.parameters["required"] == ["city"]
    assert tool.tenants == frozenset({"acme"})
    assert tool.reconcile_url == "http://127.0.0.1:8080/ran"
    assert "s3cret" not in repr(tool)


def test_a_tool_with_required_keys_alone_has_the_defaults() -> None:
    post, get = declare(), declare(method="GET")
    assert (post.spec.timeout_s, post.tenants, post.reconcile_url) == (8.0, None, "")
    assert not post.spec.idempotent
    assert get.spec.idempotent
    assert not get.spec.cacheable
    assert declare(idempotent=True).spec.idempotent
    assert not declare(method="GET", idempotent=False).spec.idempotent
    assert post.spec.parameters == {"type": "object", "properties": {}}
    assert declare(parameters={"properties": {"a": {}}}).spec.parameters["type"] == "object"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"url": ...}, r"\[tools\.weather\] url: is missing; allowed: an address"),
        ({"description": ...}, r"\[tools\.weather\] description: is missing"),
        ({"description": "  "}, r"\[tools\.weather\] description: "),
        ({"url": 5}, r"\[tools\.weather\] url: Expected `str`"),
        ({"url": "ftp://example.com"}, r"\[tools\.weather\] url: not an address"),
        ({"url": "example.com/x"}, r"\[tools\.weather\] url: not an address"),
        ({"url": "http://"}, r"\[tools\.weather\] url: not an address"),
        ({"url": "http://h:99999/"}, r"\[tools\.weather\] url: not an address"),
        ({"url": "http://[::1/"}, r"\[tools\.weather\] url: not an address"),
        ({"url": "http://h/a b"}, r"\[tools\.weather\] url: not an address"),
        ({"url": "http://h/a\nb"}, r"\[tools\.weather\] url: not an address"),
        ({"url": "http://h/#part"}, r"\[tools\.weather\] url: not an address"),
        ({"url": "http://user:pass@h/"}, r"\[tools\.weather\] url: not an address"),
        ({"reconcile_url": "nowhere"}, r"\[tools\.weather\] reconcile_url: not an address"),
        ({"method": "PUT"}, r'\[tools\.weather\] method: .*PUT.*allowed: "GET"'),
        ({"timeout_s": 0}, r"\[tools\.weather\] timeout_s: .*allowed: seconds, more than 0"),
        ({"timeout_s": True}, r"\[tools\.weather\] timeout_s: "),
        ({"timeout_s": "5"}, r"\[tools\.weather\] timeout_s: "),
        ({"timeout_s": float("nan")}, r"\[tools\.weather\] timeout_s: "),
        ({"timeout_s": float("inf")}, r"\[tools\.weather\] timeout_s: "),
        ({"tenants": []}, r"\[tools\.weather\] tenants: "),
        ({"tenants": "acme"}, r"\[tools\.weather\] tenants: "),
        ({"headers": {"X": 3}}, r"\[tools\.weather\] headers: "),
        ({"headers": {"X": {"var": "A"}}}, r"\[tools\.weather\] headers: "),
        ({"headers": {"bad name": "x"}}, r"\[tools\.weather\] headers\.bad name: not a header's name"),
        ({"headers": {"X": "a\nb"}}, r"\[tools\.weather\] headers\.X: .* one line"),
        ({"headers": {"idempotency-KEY": "x"}}, r"headers\.idempotency-KEY: set for every call"),
        ({"headers": {"X": {"env": "KEY"}}}, r"headers\.X: the environment variable KEY is not set"),
        ({"parameters": "string"}, r"\[tools\.weather\] parameters: "),
        (
            {"retries": 3},
            r"\[tools\.weather\] retries: unknown key; allowed: description, url",
        ),
    ],
)
def test_a_wrong_declaration_is_named_with_the_allowed_values(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ToolConfigError, match=message) as refused:
        declare(**fields)
    assert "\n" not in str(refused.value)
    assert "user:pass" not in str(refused.value)


def test_a_tool_that_is_no_table_is_refused() -> None:
    with pytest.raises(ToolConfigError, match=r"\[tools\.weather\]: .* allowed: a table with"):
        table_tools({"weather": "sunny"}, environ={}, http=unused_client, default_timeout_s=1.0)
    with pytest.raises(
        ToolConfigError, match=r"headers\.X: the environment variable KEY is not set, or empty"
    ):
        declare(environ={"KEY": ""}, headers={"X": {"env": "KEY"}})


def test_a_secret_with_a_line_break_is_not_repeated() -> None:
    with pytest.raises(ToolConfigError) as refused:
        declare(environ={"KEY": "s3cret\n"}, headers={"X": {"env": "KEY"}})
    assert "s3cret" not in str(refused.value)


async def lookup(word: str) -> str:
    """Looks a word up."""
    return word


def not_async(word: str) -> str:
    """Blocks."""
    return word


def declare_python(reference: str = "lookup", **fields: Any) -> PythonTool:
    table = {"words": {"python": f"{__name__}:{reference}", **fields}}
    (made,) = table_tools(table, environ={}, http=unused_client, default_timeout_s=8.0)
    assert isinstance(made, PythonTool)
    return made


def test_a_function_is_loaded_by_its_import_path() -> None:
    plain = declare_python()
    assert (plain.spec.name, plain.spec.description, plain.spec.timeout_s) == (
        "words",
        "Looks a word up.",
        8.0,
    )
    assert not plain.spec.idempotent
    changed = declare_python(idempotent=True, timeout_s=1, tenants=["acme"], description="Dictionary.")
    assert (changed.spec.description, changed.spec.timeout_s) == ("Dictionary.", 1.0)
    assert changed.spec.idempotent
    assert changed.tenants == frozenset({"acme"})


@pytest.mark.parametrize(
    ("reference", "fields", "message"),
    [
        ("missing", {}, r"\[tools\.words\] python: .* has no attribute missing"),
        ("not_async", {}, r"\[tools\.words\] python: .* must be an `async def`"),
        (
            "lookup",
            {"url": "http://h/"},
            r"\[tools\.words\] url: unknown key; allowed: python",
        ),
        ("lookup", {"timeout_s": -1}, r"\[tools\.words\] timeout_s: .*; allowed: seconds"),
        ("lookup", {"timeout_s": float("inf")}, r"\[tools\.words\] timeout_s: not a number of seconds"),
        ("lookup", {"python": 5}, r"\[tools\.words\] python: .*; allowed: an async function"),
    ],
)
def test_an_unfit_function_is_refused_with_the_tools_name(
    reference: str, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ToolConfigError, match=message) as refused:
        declare_python(reference, **fields)
    assert "\n" not in str(refused.value)
