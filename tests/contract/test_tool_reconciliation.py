"""Reconciling calls that may not be repeated, seen from the tool's server.

The server is real: it books, counts bookings by `Idempotency-Key`, and answers at its `reconcile_url`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from msgspec import structs

from agents.components import Call, Plan, PlannedCall
from agents.run import Run
from agents.tools.executor import RegistryExecutor
from agents.tools.registry import ToolRegistry
from agents.tools.stage import run_planned
from agents.tools.table import table_tools
from schemas.answer import Source, ToolCall
from schemas.codec import decode_journal_entry, encode
from schemas.question import Question
from streams.publishing.records import Record
from tests.support.components import RecordingObserver
from tests.support.journal import Log
from tests.support.system import eventually
from tests.support.tool_server import unused_client

QUESTION = Question(id="q/1", text="Book.")
SOURCE = Source("questions", 0, 7)
PLAN = Plan((PlannedCall("a/b", "book", {"seats": 2}),))
KEY = "default/q%2F1/q%2F1/a%2Fb"


@dataclass
class Bookings:
    """The server: `answers` says how it speaks of a booking, and `hangs` that it books and says nothing."""

    url: str = ""
    booked: Counter[str] = field(default_factory=Counter)
    asked: list[tuple[str, str]] = field(default_factory=list)
    status: int | None = None
    hangs: bool = False

    async def book(self, request: web.Request) -> web.Response:
        key = request.headers["Idempotency-Key"]
        self.booked[key] += 1
        if self.hangs:
            await asyncio.Event().wait()
        return web.json_response({"booking": f"B-{self.booked[key]}"})

    async def tell(self, request: web.Request) -> web.Response:
        key = request.headers["Idempotency-Key"]
        self.asked.append((request.method, key))
        status = self.status or (200 if self.booked[key] else 404)
        return web.json_response({"booking": "B-1"}, status=status, headers={"Location": "/book"})


@pytest.fixture
async def server() -> AsyncIterator[Bookings]:
    bookings = Bookings()
    app = web.Application()
    app.router.add_post("/book", bookings.book)
    app.router.add_route("*", "/bookings", bookings.tell)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    bookings.url = f"http://{host}:{port}"
    yield bookings
    await runner.cleanup()


class Worker:
    """One life of a worker, which leaves nothing but the log."""

    def __init__(self, server: Bookings, log: Log, *, reconciles: bool = True) -> None:
        table: dict[str, Any] = {
            "book": {"description": "Books.", "url": f"{server.url}/book", "timeout_s": 5.0}
        }
        if reconciles:
            table["book"]["reconcile_url"] = f"{server.url}/bookings"
        self.registry = ToolRegistry(
            table_tools(table, environ={}, http=unused_client, default_timeout_s=5.0)
        )
        self.journal = log.journal()

    async def run(self, within: float = 5.0, attempt: int = 1) -> ToolCall:
        deadline = asyncio.get_running_loop().time() + within
        run = Run(QUESTION, deadline, RecordingObserver(), source=SOURCE)
        recorded = self.journal.recorded(QUESTION, SOURCE)
        call = Call(QUESTION.id, "tools", deadline, attempt)
        plan = PLAN if recorded is None else recorded.plan
        executor = RegistryExecutor(self.registry)
        (result,) = await run_planned(plan, executor, run, call, concurrency=10, journal=self.journal)
        return result

    async def crash_while_it_books(self, server: Bookings) -> None:
        server.hangs = True
        running = asyncio.create_task(self.run())
        await eventually(lambda: server.booked[KEY] == 1, 5, "the booking")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await self.registry.aclose()
        server.hangs = False


async def test_a_result_is_used_again(server: Bookings) -> None:
    log = Log()
    first = Worker(server, log)
    assert (await first.run()).result == {"booking": "B-1"}
    second = Worker(server, log)
    again = await second.run()
    assert (again.status, again.result, again.reused) == ("ok", {"booking": "B-1"}, True)
    assert server.booked == {KEY: 1}
    assert server.asked == []
    await first.registry.aclose()
    await second.registry.aclose()


async def test_status_200_means_that_the_call_ran_with_the_body_as_its_result(server: Bookings) -> None:
    log = Log()
    await Worker(server, log).crash_while_it_books(server)
    worker = Worker(server, log)
    result = await worker.run()
    assert (result.status, result.result, result.reused) == ("ok", {"booking": "B-1"}, True)
    assert server.booked == {KEY: 1}
    assert server.asked == [("GET", KEY)]
    assert log.kinds == ["plan", "intent a/b", "result a/b"]
    await worker.registry.aclose()


async def test_status_404_means_that_the_call_did_not_run_and_it_starts_with_the_same_key(
    server: Bookings,
) -> None:
    log = Log()
    await Worker(server, log).crash_while_it_books(server)
    server.booked.clear()  # as if the request had never reached it
    worker = Worker(server, log)
    result = await worker.run(attempt=2)
    assert (result.status, result.result, result.reused) == ("ok", {"booking": "B-1"}, False)
    assert server.booked == {KEY: 1}
    await worker.registry.aclose()


@pytest.mark.parametrize("status", [201, 204, 302, 400, 401, 410, 429, 500, 503])
async def test_any_other_status_leaves_the_call_unknown(server: Bookings, status: int) -> None:
    log = Log()
    await Worker(server, log).crash_while_it_books(server)
    server.status = status
    worker = Worker(server, log)
    result = await worker.run()
    assert (result.status, result.reused) == ("unknown", False)
    assert server.booked == {KEY: 1}
    assert log.kinds == ["plan", "intent a/b"]
    server.status = None  # the next question to it is answered
    assert (await worker.run()).status == "ok"
    await worker.registry.aclose()


async def test_a_server_that_is_gone_leaves_the_call_unknown(server: Bookings) -> None:
    log = Log()
    await Worker(server, log).crash_while_it_books(server)
    url, server.url = server.url, "http://127.0.0.1:9"
    worker = Worker(server, log)
    server.url = url
    assert (await worker.run()).status == "unknown"
    assert server.booked == {KEY: 1}
    await worker.registry.aclose()


async def test_without_reconcile_url_the_call_is_unknown_and_never_repeated(server: Bookings) -> None:
    log = Log()
    await Worker(server, log, reconciles=False).crash_while_it_books(server)
    for _ in range(3):
        worker = Worker(server, log, reconciles=False)
        assert (await worker.run()).status == "unknown"
        await worker.registry.aclose()
    assert server.booked == {KEY: 1}
    assert server.asked == []


async def test_a_call_that_was_late_is_not_made_again(server: Bookings) -> None:
    log = Log()
    server.hangs = True
    first = Worker(server, log)
    assert (await first.run(within=3.0)).status == "timeout"
    second = Worker(server, log)
    again = await second.run()
    assert (again.status, again.reused) == ("timeout", True)
    assert server.booked == {KEY: 1}
    await first.registry.aclose()
    await second.registry.aclose()


OLD_KEY = "q%2F1/a%2Fb"
"""The key under which 0.1.0 called the tool; its intents do not name it."""


def written_by_0_1_0(log: Log) -> Log:
    entries = [decode_journal_entry(record.value) for record in log.records]
    old = [structs.replace(entry, tenant="", digest="", idempotency_key="") for entry in entries]
    return Log([Record("journal", b"", encode(entry), []) for entry in old])


async def test_a_call_that_0_1_0_began_is_asked_for_under_its_own_key(server: Bookings) -> None:
    log = Log()
    await Worker(server, log).crash_while_it_books(server)
    server.booked = Counter({OLD_KEY: 1})
    worker = Worker(server, written_by_0_1_0(log))
    result = await worker.run()
    assert (result.status, result.reused) == ("ok", True)
    assert server.asked == [("GET", OLD_KEY)]
    assert server.booked == {OLD_KEY: 1}
    await worker.registry.aclose()


async def test_a_call_that_is_started_after_all_keeps_the_key_of_its_first_intent(server: Bookings) -> None:
    """It is cut off a second time: the third run must ask for the key under which the second called."""
    log = Log()
    await Worker(server, log).crash_while_it_books(server)
    server.booked.clear()  # as if the request had never reached it
    log = written_by_0_1_0(log)
    second = Worker(server, log)
    server.hangs = True
    running = asyncio.create_task(second.run())
    await eventually(lambda: server.booked[OLD_KEY] == 1, 5, "the booking")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    third = Worker(server, log)
    assert (await third.run()).reused
    assert server.booked == {OLD_KEY: 1}
    await second.registry.aclose()
    await third.registry.aclose()
