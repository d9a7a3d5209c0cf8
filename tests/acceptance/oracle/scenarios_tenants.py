"""Two tenants ask the same in the same conversations: neither ever sees anything of the other."""

import contextlib
import itertools
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import orjson
from aiohttp import web

from schemas.document import Document
from schemas.question import Question, Turn
from streams.local.broker import LocalBroker
from tests.acceptance.oracle.dialogue import all_told, ask, teach
from tests.acceptance.oracle.scenarios import Result, _finish, _start
from tests.acceptance.oracle.world import Size, World
from tests.support.engine import end_offsets, read_topic
from tests.support.model_server import Recorded, Reply, calls, text
from tests.support.redis import RedisServer
from tests.support.system import Program, eventually

CANARIES = {"blue": "kanari4711", "green": "kanari0815"}
ARTICLES = 10

TOOLS = """
[tools.look_{tenant}]
description = "Looks an article up."
url = "{url}/{tenant}"
method = "GET"
cacheable = true
tenants = ["{tenant}"]
"""


@asynccontextmanager
async def _tools(asked: list[tuple[str, str]]) -> AsyncIterator[str]:
    """A server on which each tenant has a tool that returns its canary; `asked`: (tenant, question)."""

    async def answer(request: web.Request) -> web.Response:
        tenant = request.match_info["tenant"]
        asked.append((tenant, request.headers["X-Request-Id"].split("/")[0]))
        return web.json_response({"note": f"{CANARIES[tenant]}-result"})

    app = web.Application()
    app.router.add_get("/{tenant}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    """A server of the scenario's own."""
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.kill()


async def tenants(world: World, _: LocalBroker | None) -> Result:
    """8: canaries in documents, tools' results, history and metadata; half-way the worker is replaced."""
    count = world.size.questions
    seen: list[tuple[str, str]] = []
    used: list[tuple[str, str]] = []
    kept = world.services.model.script

    def script(request: Recorded) -> Reply:
        kept(request)  # for its ledger
        question_id = request.headers["X-Request-Id"].split("/")[0]
        told = orjson.dumps(request.body).decode()
        seen.append((question_id, told))
        if "tools" in request.body:
            return calls(*((f"look_{tenant}", "{}") for tenant in CANARIES))
        # The worst of models: it repeats everything in its prompt.
        return text(" ".join(str(message["content"]) for message in request.body["messages"][1:]) + " [1]")

    world.services.model.script = script
    numbers = range(ARTICLES)
    await teach(
        world,
        *(
            Document(
                id=f"article{number}",
                tenant=tenant,
                text=f"Article {number} weighs {number} kg, {canary}-text.",
            )
            for number in numbers
            for tenant, canary in CANARIES.items()
        ),
    )
    variants = itertools.product(numbers, (None, ()), (True, False), (True, False))
    pool = [
        {
            "text": f"What does article {number} weigh?",
            "conversation_id": f"c{number}",
            "tools": tools,
            "history": remembers,
            "stream": stream,
        }
        for number, tools, remembers, stream in variants
    ]
    questions = [
        _question(tenant, number, **world.rng.choice(pool))
        for number in range(count // 2)
        for tenant in CANARIES
    ]
    world.rng.shuffle(questions)
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(_tools(used))
        redis = stack.enter_context(running_redis())
        world.offer_tools("".join(TOOLS.format(tenant=tenant, url=url) for tenant in CANARIES))
        settings = {
            "KOTAE_CACHE__REDIS_URL": redis.url,
            # Every tool must be planned and called: a call left out on a busy machine could cross no border.
            "KOTAE_LIMITS__PLAN_S": "20",
            "KOTAE_LIMITS__TOOL_S": "20",
        }
        hits: Counter[str] = Counter()
        for half in (questions[: count // 2], questions[count // 2 :]):
            for worker in list(world.workers):
                await world.stop(worker)
            await _start(world, **settings)
            await ask(world, half, over_s=len(half) / 150)
            await eventually(world.drained, world.size.drain_s, "all have their outcome")
            [worker] = world.workers
            hits += await _hits(world, worker)
        result = await _finish(world, duplicates=0)
    told = await all_told(world)
    shown = [(one.id, orjson.dumps(one.answer).decode()) for one in told]
    for topic in (world.topics.deltas, world.topics.events):
        count = sum((await end_offsets(world.kafka, topic)).values())
        records = await read_topic(world.kafka, topic, count)
        shown += [(orjson.loads(record.value)["question_id"], record.value.decode()) for record in records]
    leaks = [(identifier, content) for identifier, content in seen + shown if _other(identifier) in content]
    misused = [one for one in used if not one[1].startswith(one[0])]
    content = "".join(content for _, content in shown)
    own = {
        part: content.count(f"{CANARIES['blue']}-{part}") for part in ("text", "result", "said", "metadata")
    }
    result.figures |= {"leaks": len(leaks), "model_requests": len(seen), **hits, **own}
    result.expect(not leaks, f"{len(leaks)} crossings, for instance {leaks[:1]}")
    result.expect(not misused, f"{len(misused)} calls of another tenant's tool")
    result.expect(all(own.values()), f"what a tenant should see was not seen: {own}")
    result.expect(hits["memory"] and hits["shared"], f"the cache was not used: {hits}")
    # With tools, the other tenant's is planned too, and refused.
    reasons = {reason for one in told for reason in one.answer["degraded"]}
    result.expect(reasons == {"tools_rejected"}, f"degraded by {reasons}")
    return result


def _question(tenant: str, number: int, *, history: bool, **fields: object) -> Question:
    canary = CANARIES[tenant]
    said = (Turn("user", f"I am {canary}-said."), Turn("assistant", "Hello.")) if history else ()
    return Question(
        id=f"{tenant}{number}", tenant=tenant, history=said, metadata={"note": f"{canary}-metadata"}, **fields
    )


def _other(question_id: str) -> str:
    """The other tenant's canary, which nothing about this question may hold."""
    return CANARIES["green" if question_id.startswith("blue") else "blue"]


async def _hits(world: World, worker: Program) -> Counter[str]:
    found: Counter[str] = Counter()
    for line in (await world.fetch(worker, "/metrics")).decode().splitlines():
        if line.startswith("kotae_cache_lookups_total{"):
            found[line.split('"')[1]] += int(float(line.rsplit(" ", 1)[1]))
    return found


SCENARIOS: dict[int, Callable[[World, LocalBroker | None], Awaitable[Result]]] = {8: tenants}

CI: dict[int, Size] = {8: Size(questions=600, workers=1, latency_s=(0.0, 0.05))}

FULL: dict[int, Size] = {8: Size(questions=10_000, workers=1, session_s=10, latency_s=(0.0, 0.05))}
