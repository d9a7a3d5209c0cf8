"""Broken models and tools: every question still has its answer by its deadline."""

import asyncio
import contextlib
import itertools
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson

from streams.local.broker import LocalBroker
from tests.acceptance.oracle.dialogue import WARRANTY, Told, about_warranty, all_told, ask, quotes_hold, teach
from tests.acceptance.oracle.scenarios import Result, _finish, _start
from tests.acceptance.oracle.world import Size, World
from tests.support.model_server import EVENTS, Recorded, Reply, calls, chunk, text
from tests.support.system import eventually
from tests.support.tool_server import run_tool_server

LATE_S = 2.0
"""How much later than its deadline an outcome may come."""
CANCELLED_S = 1.0
"""How much later than its limit a call may still be open."""
ANSWER = text("Three years. [1]")
SLOTS = 40
"""More than hang at once in scenario 4 (10 a second for 3 s), fewer than are asked: lost slots would show."""

BROKEN = [
    Reply(hangs=True),
    Reply(pieces=[b"{"], hangs=True),
    Reply(pieces=[b" "] * 600, gap_s=0.1),
    Reply(pieces=[b'{"choices": [{'], cut=True),
]
BROKEN_STREAMS = [
    Reply(hangs=True),
    Reply(pieces=[chunk({"role": "assistant", "content": "Three "})], headers=EVENTS, hangs=True),
    Reply(pieces=[chunk({"content": "very "})] * 600, headers=EVENTS, gap_s=0.1),
    Reply(pieces=[chunk({"role": "assistant", "content": "Three "})], headers=EVENTS, cut=True),
]


async def broken_model(world: World, _: LocalBroker | None) -> Result:
    """4: the model hangs, sends one byte, dribbles, drops the connection in the middle, streaming or not."""
    size = world.size
    whole, streams = itertools.cycle(BROKEN), itertools.cycle(BROKEN_STREAMS)
    kept = world.services.model.script

    def script(request: Recorded) -> Reply:
        kept(request)  # for its ledger
        if not request.headers["X-Request-Id"].startswith("broken"):
            return ANSWER
        return next(streams if request.body.get("stream") else whole)

    world.services.model.script = script
    await teach(world, WARRANTY)
    await _start(world, KOTAE_WORKER__MAX_IN_FLIGHT=str(SLOTS), KOTAE_CACHE__TTL_S="0")
    settled = len(world.observer.rebalances)
    deadline_s = 3.0
    headers = [("timeout_ms", b"%d" % int(deadline_s * 1000))]
    half = size.questions // 2
    questions = about_warranty("broken", half) + about_warranty("broken-stream", half, stream=True)
    world.rng.shuffle(questions)
    await ask(world, questions, over_s=size.questions / 10, headers=headers)
    await eventually(world.drained, size.drain_s, "the broken ones have their outcome")
    await ask(world, about_warranty("sound", size.questions))
    await eventually(world.drained, size.drain_s, "the others are answered")
    [worker] = world.workers
    in_flight = orjson.loads(await world.fetch(worker, "/state"))["in_flight"]
    rebalances = len(world.observer.rebalances) - settled
    result = await _finish(world, duplicates=0)
    told = await all_told(world)
    broken = [one for one in told if one.id.startswith("broken")]
    late = max(one.took_s - deadline_s for one in broken)
    expires_at = {one.id: one.asked_at + deadline_s for one in broken}
    model = world.services.model
    open_s = [
        at - expires_at[request.headers["X-Request-Id"].split("/")[0]] for request, at in model.abandoned
    ]
    result.figures |= {"latest_after_deadline_s": round(late, 2), "given_up": len(open_s)}
    result.expect(late <= LATE_S, f"an outcome came {late:.1f} s after its deadline")
    result.expect(
        open_s and max(open_s) <= CANCELLED_S, f"a call was given up {max(open_s, default=0):.1f} s late"
    )
    result.expect(in_flight == 0, f"{in_flight} slots are still held")
    result.expect(rebalances == 0, f"{rebalances} rebalances")
    result.expect({one.status for one in broken} == {"degraded"}, f"{ {one.status for one in broken} }")
    result.expect(quotes_hold(broken, [WARRANTY]), "a degraded answer has no citation that holds")
    sound = {one.status for one in told if one.id.startswith("sound")}
    result.expect("failed" not in sound, f"after the model healed: {sound}")
    return result


RATE = 20
"""Questions a second that scenario 5 asks throughout."""
RETURN_S = 60.0
"""How long after its return the model may still be used less than before."""
SAVED = 10
"""Attempts beyond 1.1 a question: the breaker's first window, or retries saved up in good times."""
PROBES = 2


@dataclass
class _Load:
    """Ask questions at a steady rate while the block lasts."""

    world: World
    sent: int = 0

    async def run(self) -> None:
        began = time.monotonic()
        while True:
            [question] = about_warranty(f"n{self.sent}-", 1)
            await ask(self.world, [question])
            self.sent += 1
            await asyncio.sleep(max(0.0, began + self.sent / RATE - time.monotonic()))


@asynccontextmanager
async def _steady_load(world: World) -> AsyncIterator[_Load]:
    load = _Load(world)
    running = asyncio.create_task(load.run())
    try:
        yield load
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def failing_model(world: World, _: LocalBroker | None) -> Result:
    """5: the model answers only 5xx for a while, and later only 429; then it recovers."""
    size, services = world.size, world.services
    healthy = services.answer = lambda _: ANSWER
    await teach(world, WARRANTY)
    await _start(world, KOTAE_CACHE__TTL_S="0")
    faults = {"5xx": Reply(status=500), "429": Reply(status=429, headers={"Retry-After": "1"})}
    spans: dict[str, tuple[float, float, int]] = {}
    calls_while: dict[str, list[float]] = {}
    async with _steady_load(world) as load:
        await asyncio.sleep(size.interval_s)
        well_until = time.time()
        for name, reply in faults.items():
            sent, began = load.sent, time.time()
            services.answer = lambda _, reply=reply: reply
            world.record(f"only {name}")
            await asyncio.sleep(size.outage_s if name == "5xx" else size.outage_s / 2)
            services.answer = healthy
            spans[name] = began, time.time(), load.sent - sent
            calls_while[name] = [one.at for one in services.model_calls if began <= one.at <= spans[name][1]]
            await _used_again(world, since=spans[name][1])
    result = await _finish(world, duplicates=0)
    told = await all_told(world)
    before = [one for one in told if one.told_at < well_until]
    for name, (began, ended, asked) in spans.items():
        found = calls_while[name]
        allowed = 1.1 * asked + SAVED + PROBES
        result.expect(len(found) <= allowed, f"{len(found)} calls for {asked} questions in a time of {name}")
        next_began = min((one[0] for one in spans.values() if one[0] > ended), default=float("inf"))
        after = [one for one in told if ended <= one.asked_at and one.told_at < next_began]
        back_s = _back_after(after, ended)
        result.expect(back_s <= RETURN_S, f"{back_s:.0f} s after {name} the model was not used as before")
        slower = _median(after[-RATE:]) / _median(before[-RATE * 2 :])
        result.expect(slower <= 2, f"after {name} an answer took {slower:.1f} times as long as before")
        while_it_lasted = [one for one in told if began <= one.asked_at <= ended]
        result.expect(
            {one.status for one in while_it_lasted} <= {"answered", "degraded"},
            f"a question failed in {name}",
        )
        result.expect(
            quotes_hold(while_it_lasted, [WARRANTY]), f"an answer in {name} cites nothing that holds"
        )
        result.figures |= {f"calls_{name}": f"{len(found)}/{asked}", f"back_after_{name}_s": round(back_s, 1)}
    began, ended, _ = spans["5xx"]
    # The breaker's first window is full by then: further calls are probes.
    late_calls = sum(at > began + size.outage_s / 2 for at in calls_while["5xx"])
    result.expect(
        late_calls <= PROBES * (1 + size.outage_s / 10), f"{late_calls} calls of a model that is down"
    )
    return result


async def _used_again(world: World, since: float) -> None:
    """Wait until the model answered all questions of the last second."""
    with contextlib.suppress(TimeoutError):
        await eventually(
            lambda: (
                len(last := world.observer.outcomes[-RATE:]) == RATE
                and all(one.status == "answered" and world.sent_at[one.id] > since for one in last)
            ),
            RETURN_S,
            "the model is used again",
        )


def _back_after(told: list[Told], moment: float) -> float:
    """The time from a moment until the last question that the model did not answer was asked."""
    return max((one.asked_at for one in told if one.status != "answered"), default=moment) - moment


def _median(told: list[Told]) -> float:
    return statistics.median(one.took_s for one in told) if told else float("inf")


TOOLS = ("hang", "dribble", "garbage", "status/500", "slow", "ok", "huge", "redirect")
TOOL_S = 5.0


async def broken_tools(world: World, _: LocalBroker | None) -> Result:
    """17: every plan holds tools that hang, dribble, fail, lie and lead elsewhere, beside a sound one."""
    size = world.size
    kept = world.services.model.script
    names = [f"t{number}" for number in range(len(TOOLS))]

    def script(request: Recorded) -> Reply:
        kept(request)  # for its ledger
        return calls(*((name, "{}") for name in names)) if "tools" in request.body else ANSWER

    world.services.model.script = script
    await teach(world, WARRANTY)
    async with run_tool_server() as tools:
        world.offer_tools(
            "".join(
                f'[tools.{name}]\ndescription = "Tells."\nurl = "{tools.url}/{path}"\nmethod = "GET"\n'
                for name, path in zip(names, TOOLS, strict=True)
            )
        )
        await _start(world, KOTAE_LIMITS__TOOL_S=str(TOOL_S), KOTAE_CACHE__TTL_S="0")
        deadline_s = 20.0
        headers = [("timeout_ms", b"%d" % int(deadline_s * 1000))]
        await ask(world, about_warranty("q", size.questions), over_s=size.questions / 20, headers=headers)
        with contextlib.suppress(TimeoutError):
            await eventually(world.drained, size.drain_s, "all have their outcome")
        with contextlib.suppress(TimeoutError):
            await eventually(lambda: tools.abandoned == tools.hanging, CANCELLED_S, "no call is open")
        still_open = tools.hanging - tools.abandoned
        result = await _finish(world, duplicates=0)
    told = await all_told(world)
    late = max(one.took_s - deadline_s for one in told)
    failed = [one for one in told if one.status == "failed"]
    sound = [
        call
        for one in told
        for call in one.answer["tool_calls"]
        if call["name"] == names[TOOLS.index("ok")] and call["status"] == "ok"
    ]
    result.figures |= {"hung": tools.hanging, "sound_calls": len(sound), "failed": len(failed)}
    result.expect(late <= LATE_S, f"an outcome came {late:.1f} s after its deadline")
    result.expect(not failed, f"{len(failed)} of {len(told)} failed")
    result.expect(tools.hanging, "nothing hung")
    result.expect(not still_open, f"{still_open} calls were still open {CANCELLED_S} s later")
    result.expect(
        len(sound) >= 0.99 * len(told), f"the sound tool answered {len(sound)} of {len(told)} times"
    )
    reasons = {reason for one in told for reason in one.answer["degraded"]}
    result.expect({"tools_timeout", "tools_error"} <= reasons, f"{reasons}")
    result.expect(quotes_hold(told, [WARRANTY]), "an answer cites nothing that holds")
    return result


SCENARIOS: dict[int, Callable[[World, LocalBroker | None], Awaitable[Result]]] = {
    4: broken_model,
    5: failing_model,
    17: broken_tools,
}

CI: dict[int, Size] = {
    4: Size(questions=60, workers=1),
    5: Size(questions=0, workers=1, interval_s=2, outage_s=6, latency_s=(0.1, 0.1)),
    17: Size(questions=60, workers=1, latency_s=(0.0, 0.1)),
}

FULL: dict[int, Size] = {
    4: Size(questions=500, workers=1, session_s=10),
    5: Size(questions=0, workers=1, interval_s=10, outage_s=60, session_s=10, latency_s=(0.1, 0.1)),
    17: Size(questions=1000, workers=1, session_s=10),
}
