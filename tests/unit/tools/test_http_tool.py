"""HTTP tools against a real server."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from agents.components import Call, PlannedCall
from agents.http.pool import HttpPool, HttpResponse
from agents.tools.executor import RegistryExecutor
from agents.tools.registry import ToolRegistry
from agents.tools.table import table_tools
from agents.tools.tool import RejectedCallError
from schemas.answer import ToolCall
from schemas.question import Question
from tests.support.tool_server import ToolServer, run_tool_server, unused_client


@pytest.fixture
async def server() -> AsyncIterator[ToolServer]:
    async with run_tool_server() as running:
        yield running


async def run(
    url: str,
    arguments: dict[str, Any] | None = None,
    *,
    question_id: str = "q-1",
    call_id: str = "call-1",
    environ: dict[str, str] | None = None,
    **fields: Any,
) -> ToolCall:
    table = {"weather": {"description": "Weather.", "url": url, **fields}}
    registry = ToolRegistry(
        table_tools(table, environ=environ or {}, http=unused_client, default_timeout_s=5.0)
    )
    call = Call(
        question_id, f"tools/{call_id}", asyncio.get_running_loop().time() + 5, traceparent="00-ab-cd-01"
    )
    try:
        return await RegistryExecutor(registry).arun(
            PlannedCall(call_id, "weather", arguments or {}), Question(id=question_id, text="?"), call
        )
    finally:
        await registry.aclose()


async def test_post_sends_the_arguments_as_json(server: ToolServer) -> None:
    result = await run(f"{server.url}/ok", {"city": "杭州", "days": 3})
    assert (result.status, result.result) == ("ok", {"weather": "sunny", "degrees": 21.5})
    assert server.last.method == "POST"
    assert server.last.headers["content-type"] == "application/json"
    assert server.last.json == {"city": "杭州", "days": 3}


@pytest.mark.parametrize(
    ("fields", "statuses", "requests"),
    [
        ({"method": "GET"}, ["ok", "ok"], 3),
        ({"method": "POST", "idempotent": True}, ["ok", "ok"], 3),
        ({"method": "POST"}, ["error", "ok"], 2),
    ],
)
async def test_a_server_that_refuses_our_request_ids_by_name_gets_uuids(
    server: ToolServer,
    caplog: pytest.LogCaptureFixture,
    fields: dict[str, Any],
    statuses: list[str],
    requests: int,
) -> None:
    """A tool that is not idempotent is not sent again, whatever its server says."""
    table = {"weather": {"description": "Weather.", "url": f"{server.url}/uuids", **fields}}
    registry = ToolRegistry(table_tools(table, environ={}, http=unused_client, default_timeout_s=5.0))
    ended = []
    try:
        for _ in range(2):
            call = Call("q-1", "tools/call-1", asyncio.get_running_loop().time() + 5)
            ended.append(
                await RegistryExecutor(registry).arun(
                    PlannedCall("call-1", "weather", {}), Question(id="q-1", text="?"), call
                )
            )
    finally:
        await registry.aclose()
    assert [result.status for result in ended] == statuses
    ids = [request.headers["x-request-id"] for request in server.received]
    assert ids[0].startswith("q-1/")
    assert ids[1:] == [ids[-1]] * (requests - 1), "the same attempt has the same id"
    [warning] = [record.getMessage() for record in caplog.records if "UUID" in record.getMessage()]
    assert warning.startswith("tools/weather takes requests only if their X-Request-Id is a UUID")


async def test_get_sends_the_arguments_as_the_query(server: ToolServer) -> None:
    arguments = {"city": "杭州 & co", "days": 3, "x": 1.5, "metric": True, "none": None, "list": ["a", 1]}
    result = await run(f"{server.url}/ok?key=k%26k", arguments, method="GET")
    assert result.status == "ok"
    assert server.last.method == "GET"
    assert server.last.query == {
        "key": "k&k", "city": "杭州 & co", "days": "3", "x": "1.5", "metric": "true", "list": '["a",1]',
    }  # fmt: skip
    assert server.last.body == b""


async def test_a_parameter_of_the_tools_address_is_no_argument_unless_the_schema_names_it(
    server: ToolServer,
) -> None:
    url = f"{server.url}/ok?site=acme&unit=C"
    schema = {"properties": {"unit": {"type": "string"}}}
    refused = await run(url, {"site": "other"}, method="GET", parameters=schema)
    assert (refused.status, server.received) == ("rejected", [])
    assert refused.result == "site: set by the tool's address, and not an argument"
    assert (await run(url, {"unit": "F"}, method="GET", parameters=schema)).status == "ok"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_every_request_is_labelled(server: ToolServer, method: str) -> None:
    await run(f"{server.url}/ok", question_id="q/1 é", call_id="call:0/b", method=method)
    headers = server.last.headers
    assert headers["idempotency-key"] == "default/q%2F1%20%C3%A9/q%2F1%20%C3%A9/call%3A0%2Fb"
    assert headers["x-request-id"] == "q%2F1%20%C3%A9/tools%2Fcall%3A0%2Fb/1"
    assert headers["traceparent"] == "00-ab-cd-01"


async def test_the_key_is_the_same_on_every_attempt(server: ToolServer) -> None:
    await run(f"{server.url}/ok")
    await run(f"{server.url}/ok")
    first, second = (request.headers["idempotency-key"] for request in server.received)
    assert first == second == "default/q-1/q-1/call-1"


async def test_configured_headers_are_sent(server: ToolServer) -> None:
    headers = {"Authorization": {"env": "KEY"}, "X-Team": "qa"}
    result = await run(f"{server.url}/ok", headers=headers, environ={"KEY": "Bearer s3cret"})
    assert server.last.headers["authorization"] == "Bearer s3cret"
    assert server.last.headers["x-team"] == "qa"
    assert "s3cret" not in repr(result)


async def test_text_is_read_in_its_own_encoding(server: ToolServer) -> None:
    assert (await run(f"{server.url}/text")).result == "晴，21 度"
    assert (await run(f"{server.url}/gbk")).result == "晴，21 度"
    empty = await run(f"{server.url}/empty")
    assert (empty.status, empty.result) == ("ok", None)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/status/400", "HTTP 400: code 400"),
        ("/status/404", "HTTP 404: code 404"),
        ("/status/429", "HTTP 429: code 429"),
        ("/status/500", "HTTP 500: code 500"),
        ("/status/503", "HTTP 503: code 503"),
        ("/garbage", "the response is not JSON, though its content type says so"),
        ("/image", "the response is neither JSON nor text (image/png)"),
        ("/huge?length=400000", "the response is longer than 1,048,576 bytes"),
        ("/missing", "HTTP 404: 404: Not Found"),
    ],
)
async def test_failures_have_a_short_message(server: ToolServer, path: str, message: str) -> None:
    result = await run(f"{server.url}{path}")
    assert (result.status, result.result) == ("error", message)


async def test_whole_numbers_are_never_rounded(server: ToolServer) -> None:
    result = await run(f"{server.url}/wei")
    assert (result.status, result.result) == ("ok", '{"wei": 123456789012345678901}')
    result = await run(f"{server.url}/ok", {"account": 123456789012345678901})
    assert (result.status, len(server.received)) == ("rejected", 1)


async def test_redirects_are_not_followed(server: ToolServer) -> None:
    result = await run(f"{server.url}/redirect")
    assert result.status == "error"
    assert "redirects are not followed" in result.result
    assert [request.path for request in server.received] == ["/redirect"]


async def test_a_result_nested_too_deeply_to_be_published_is_an_error(server: ToolServer) -> None:
    result = await run(f"{server.url}/nested")
    assert result.status == "error"
    assert "cannot be written as JSON" in result.result


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_arguments_that_cannot_be_sent_are_rejected(server: ToolServer, method: str) -> None:
    nested: dict[str, Any] = {}
    for _ in range(900):
        nested = {"a": nested}
    result = await run(f"{server.url}/ok", nested, method=method)
    assert result.status == "rejected"
    assert not server.received


async def test_a_long_result_is_cut_and_says_so(server: ToolServer) -> None:
    result = await run(f"{server.url}/huge?length=20000")
    assert result.status == "ok"
    assert result.result.startswith("字" * 12_000 + " … [cut: the result has 20,000 characters]")
    assert len(result.result) < 12_100
    whole = await run(f"{server.url}/huge?length=12000")
    assert whole.result == "字" * 12_000


async def test_a_server_that_is_away_is_an_error(server: ToolServer) -> None:
    result = await run("http://127.0.0.1:9/nothing")
    assert result.status == "error"
    assert "ClientConnector" in result.result


async def test_a_tools_own_time_out_ends_it_before_the_deadline(server: ToolServer) -> None:
    result = await run(f"{server.url}/hang", timeout_s=0.1)
    assert (result.status, result.result) == ("timeout", "no result within 0.1 s")
    assert result.duration_ms < 5000


HOSTILE = [
    "@evil.example",
    "//evil.example/",
    "#",
    "?",
    "\\\\evil",
    "../../x",
    "\r\nHost: evil",
    "%2e%2e/",
    ":1/",
    "",
]


@pytest.mark.parametrize("value", HOSTILE)
async def test_arguments_choose_neither_host_nor_path(server: ToolServer, value: str) -> None:
    for method in ("GET", "POST"):
        await run(f"{server.url}/ok?key=k", {"a": value, value: "b"}, method=method)
        assert (server.last.method, server.last.path) == (method, "/ok")
        assert server.last.query["key"] == "k"
        assert server.last.headers["host"] == server.url.removeprefix("http://")


class Unsent(HttpPool):
    """Keeps where a request would go."""

    asked: tuple[str, dict[str, str]]

    async def arequest(
        self, method: str, url: str, *, body: Any = None, headers: Any = None, params: Any = None
    ) -> HttpResponse:
        self.asked = (url, dict(params))
        return HttpResponse(204, {}, b"")


@given(st.dictionaries(st.text(), st.text() | st.lists(st.text()) | st.none() | st.integers(0, 99)))
@example({"key": None})
def test_no_arguments_change_the_host_or_path_of_a_call(arguments: dict[str, Any]) -> None:
    (made,) = table_tools(
        {"weather": {"description": "Weather.", "url": "https://api.example/v1/now?key=k", "method": "GET"}},
        environ={},
        http=unused_client,
        default_timeout_s=5.0,
    )
    pool = Unsent("tools/weather")
    made._pool = pool  # type: ignore[attr-defined] - an HttpTool
    if "key" in arguments:  # which the address sets
        with pytest.raises(RejectedCallError):
            asyncio.run(made.arun(arguments, {}))
        return
    asyncio.run(made.arun(arguments, {}))
    sent = URL(pool.asked[0]).extend_query(pool.asked[1])
    assert (sent.scheme, sent.host, sent.port, sent.path) == ("https", "api.example", 443, "/v1/now")


@pytest.mark.parametrize(
    "path",
    [
        "/repeat",
        "/repeat?code=401",
        "/repeat?code=500",
        "/repeat?code=429",
        "/hang",
        "/dribble",
        "/garbage",
        "/redirect",
        "/status/503",
        "/image",
        ":1/",
    ],
)
async def test_a_secret_of_a_tool_is_in_no_result_and_no_log(
    server: ToolServer, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"http://127.0.0.1{path}" if path == ":1/" else server.url + path
    url += f"{'&' if '?' in url else '?'}k=canary-url"
    headers = {"Authorization": {"env": "KEY"}, "X-Api-Key": "canary-inline", "X-Team": {"env": "KEY"}}
    environ = {"KEY": "Bearer canary-environment"}
    timeout_s = 0.3 if path in {"/hang", "/dribble"} else 5.0
    result = await run(url, {"a": 1}, environ=environ, headers=headers, timeout_s=timeout_s)
    if path.startswith("/repeat"):
        assert "***" in str(result.result)
        assert server.last.headers["authorization"] == "Bearer canary-environment"
    logged = [
        record.getMessage() for record in caplog.records if record.name != "aiohttp.access"
    ]  # the server's
    assert "canary" not in f"{result}{logged}"
