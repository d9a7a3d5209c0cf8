"""Redrives, repeats, wrong clocks and departed clients: work is bounded, and nothing expires by mistake."""

import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from schemas.codec import encode
from schemas.question import Question
from streams.local.broker import LocalBroker
from streams.operations.redrive import REDRIVES_MAX
from tests.acceptance.oracle.dialogue import about_warranty, all_told, ask
from tests.acceptance.oracle.scenarios import Result, _finish, _start
from tests.acceptance.oracle.world import Size, World
from tests.support.model_server import EVENTS, Reply, chunk
from tests.support.system import ROOT, environment, eventually

HOUR_MS = 3_600_000
STREAMS = 3
TIMEOUT_S = 4.0
CANCELLED_S = 1.0
DRIBBLE = Reply(pieces=[chunk({"content": "very "})] * 600, headers=EVENTS, gap_s=0.1)


async def asked_again(world: World, _: LocalBroker | None) -> Result:
    """15: questions redriven too often, records with a clock an hour off, a stream that nobody reads."""
    count = world.size.questions
    broken = {f"bad{number}" for number in range(count)}
    dribbles = {f"stream{number}" for number in range(STREAMS)}
    healthy = world.services.answer

    def answer(question_id: str) -> Reply:
        if question_id in dribbles:
            return DRIBBLE
        return Reply(status=400) if question_id in broken else healthy(question_id)

    world.services.answer = answer
    await _start(world, KOTAE_CACHE__TTL_S="0")

    async def settled() -> None:
        await eventually(world.drained, world.size.drain_s, "all have their outcome")

    # A client that streams, and goes away: the worker does not learn of it, only the deadline ends the call.
    headers = [("timeout_ms", b"%d" % int(TIMEOUT_S * 1000))]
    await ask(world, about_warranty("stream", STREAMS, stream=True), headers=headers)
    for name, off_ms in {"early": -HOUR_MS, "late": HOUR_MS}.items():
        stamp = int(time.time() * 1000) + off_ms
        for question in about_warranty(name, count):
            await world.send(question.id, question.id.encode(), encode(question), headers, stamp)
    await ask(world, about_warranty("bad", count))
    await settled()
    dribbles.clear()
    said = []
    sent_back = 0
    for number in range(REDRIVES_MAX + 1):
        if number == REDRIVES_MAX - 1:
            broken.discard("bad0")
        said.append(await _kotae(world, "dlq", "redrive", "--all", "--rate", "1000"))
        sent_back += said[-1].count(" sent back (")
        await eventually(
            lambda wanted=STREAMS + 3 * count + sent_back: len(world.observer.outcomes) >= wanted,
            world.size.drain_s,
            "what was sent back has its outcome",
        )
    listed = await _kotae(world, "dlq", "list")
    result = await _finish(world, duplicates=0)
    told = await all_told(world)
    times = Counter(one.id for one in told)
    streams = {one.id: one.asked_at + TIMEOUT_S for one in reversed(told) if one.id.startswith("stream")}
    model = world.services.model
    given_up = [
        at - streams[name]
        for request, at in model.abandoned
        if (name := request.headers["X-Request-Id"].split("/")[0]) in streams
    ]
    result.figures |= {"sent_back": sent_back, "parked": listed.count("[parked]")}
    allowed = {f"bad{number}": 1 + REDRIVES_MAX for number in range(count)}
    found = {name: number for name, number in times.items() if name.startswith("bad")}
    result.expect(found == allowed, f"asked so many times: {found}")
    result.expect(listed.count("[parked]") == count - 1, f"not parked: {listed}")
    result.expect(" sent back (" not in said[-1], f"sent back once more: {said[-1]}")
    healed = [one.status for one in told if one.id == "bad0"]
    result.expect(healed[-1] == "answered", f"what was healed ended as {healed}")
    off = Counter(one.status for one in told if one.id.startswith(("early", "late")))
    result.expect(off == {"answered": 2 * count}, f"with stamps an hour off: {off}")
    result.expect(len(given_up) == len(streams), f"{len(given_up)} of {len(streams)} streams were given up")
    result.expect(
        max(given_up, default=0) <= CANCELLED_S, f"a call was given up {max(given_up, default=0):.1f} s late"
    )
    return result


async def sent_again(world: World, _: LocalBroker | None) -> Result:
    """19: each question is sent three times while workers are killed; its plan holds a tool that pays.

    The second comes at once, the third seconds later, when another worker may have its partition.
    """
    size = world.size
    world.offer_tool()
    await _start(world, KOTAE_CACHE__TTL_S="0")
    questions = about_warranty("paid", size.questions)

    async def send(question: Question, after_s: float) -> None:
        await asyncio.sleep(after_s)
        key = question.conversation_id.encode()
        for pause_s in (0.0, 0.0, world.rng.uniform(0.0, 2 * size.interval_s)):
            await asyncio.sleep(pause_s)
            await world.send(question.id, key, encode(question))

    lasts_s = size.faults * size.interval_s
    load = asyncio.gather(*[send(question, world.rng.uniform(0.0, lasts_s)) for question in questions])
    for _number in range(size.faults):
        await asyncio.sleep(size.interval_s)
        with contextlib.suppress(TimeoutError):
            await eventually(lambda: world.paid_and_unanswered >= 2, size.interval_s, "a kill hurts")
        await world.kill(world.rng.choice(world.workers))
        world.start_worker(KOTAE_CACHE__TTL_S="0")
    await load
    with contextlib.suppress(TimeoutError):
        await eventually(
            lambda: len(world.observer.answered) >= 3 * len(questions), size.drain_s, "all have their outcome"
        )
    result = await _finish(world, duplicates=None)
    told: dict[str, dict[int, dict[str, Any]]] = {}
    for one in await all_told(world):
        told.setdefault(one.id, {}).setdefault(one.answer["source"]["offset"], one.answer)
    wrong = [name for name, answers in told.items() if not _one_result(list(answers.values()))]
    result.figures |= {"repeats": 2 * len(questions), "paid": len(world.services.tool_calls)}
    result.expect(len(told) == len(questions), f"{len(told)} of {len(questions)} questions have answers")
    result.expect(not wrong, f"these have more than one result: {wrong[:5]}")
    return result


def _one_result(answers: list[dict[str, Any]]) -> bool:
    """Whether one of three answers is of a run, and the others have its result."""
    first, *others = answers
    return len(others) == 2 and all(
        other["duplicate_of"] == first["source"]
        and all(other[name] == first[name] for name in ("text", "status", "citations", "degraded"))
        and [call["result"] for call in other["tool_calls"]]
        == [call["result"] for call in first["tool_calls"]]
        and not other["usage"]["completion_tokens"]
        for other in others
    )


async def _kotae(world: World, *arguments: str) -> str:
    """The output of the command."""
    env = environment(
        KOTAE_KAFKA__BOOTSTRAP_SERVERS=world.kafka.bootstrap_servers,
        KOTAE_KAFKA__TOPIC_PREFIX=world.kafka.topic_prefix,
    )
    command = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "streams", *arguments),
        env=env,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await command.communicate()
    if command.returncode:
        raise RuntimeError(output.decode())
    return output.decode()


SCENARIOS: dict[int, Callable[[World, LocalBroker | None], Awaitable[Result]]] = {
    15: asked_again,
    19: sent_again,
}

CI: dict[int, Size] = {
    15: Size(questions=6, workers=1, latency_s=(0.0, 0.1)),
    19: Size(questions=60, workers=2, faults=2, interval_s=6),
}

FULL: dict[int, Size] = {
    15: Size(questions=200, workers=1, session_s=10),
    19: Size(questions=1000, faults=20, interval_s=5, session_s=10, drain_s=180),
}
