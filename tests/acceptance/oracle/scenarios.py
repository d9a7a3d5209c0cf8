"""The scenarios. Each does its harm to a world and returns its ledgers and its further assertions.

A seed repeats a scenario's questions, victims and times, but not how its processes interleave.
"""

import asyncio
import contextlib
import itertools
import json
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.topics import OUTCOME_MAX_BYTES, RECORD_MAX_BYTES
from streams.local.broker import LocalBroker
from tests.acceptance.oracle.checker import Violation
from tests.acceptance.oracle.ledgers import Ledgers
from tests.acceptance.oracle.world import Size, World
from tests.support.engine import end_offsets
from tests.support.model_server import text
from tests.support.system import eventually

TAKEOVER_S = 5.0
"""How much longer than a session the partitions of a killed worker may wait."""
LEAD_S = 2.0


@dataclass
class Result:
    """The result of a scenario; `besides` holds its failed assertions beyond the invariants."""

    ledgers: Ledgers
    besides: list[Violation] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def expect(self, holds: object, detail: str) -> None:
        """Keep a violation if `holds` is false."""
        if not holds:
            self.besides.append(Violation("besides", detail))


async def calm(world: World, _: LocalBroker | None) -> Result:
    """0: nothing is wrong."""
    await _start(world)
    await world.produce(world.size.questions, over_s=3)
    return await _finish(world, duplicates=0)


async def kills(
    world: World, _: LocalBroker | None, hurts: Callable[[World], bool] = lambda world: world.uncommitted >= 5
) -> Result:
    """1: kill -9 of a random worker under load, again and again, and once more when the group has settled.

    Each kill comes at a moment when it `hurts`. All but the last come faster than a session ends; the last
    one when every worker is ready, and none follows: then the time until all partitions go on is asserted.
    """
    size = world.size
    takeover_s = size.session_s + TAKEOVER_S
    await _start(world)
    hurried = size.faults - 1
    late = size.questions // size.faults
    load = asyncio.create_task(world.produce(size.questions - late, over_s=hurried * size.interval_s))
    moments = []
    for number in range(size.faults):
        settled = number == hurried
        if settled:
            await load
            await world.ready()
            load = asyncio.create_task(world.produce(late, over_s=takeover_s + LEAD_S, prefix="late"))
        await asyncio.sleep(LEAD_S if settled else world.rng.uniform(0.2, 0.5) * size.interval_s)
        with contextlib.suppress(TimeoutError):
            await eventually(lambda: hurts(world), LEAD_S, "a kill hurts")
        moments.append(time.time())
        await world.kill(world.rng.choice(world.workers))
        if settled and world.workers:
            # A joining member makes the group rebalance again; the remaining members' time is asserted.
            with contextlib.suppress(TimeoutError):
                await eventually(
                    lambda: world.goes_on(moments[-1]), takeover_s + LEAD_S, "all partitions go on"
                )
        world.start_worker()
        if not settled:
            await asyncio.sleep(size.interval_s * 0.5)
    await load
    result = await _finish(world, duplicates=None)
    taken = [result.ledgers.takeover_s(moment, world.sent_at) for moment in moments]
    result.figures |= {"takeover_s": max(taken), "settled_takeover_s": taken[-1]}
    result.expect(taken[-1] <= takeover_s, f"a partition waited {taken[-1]} s in a settled group")
    return result


async def tools_once(world: World, broker: LocalBroker | None) -> Result:
    """16: as 1, and every question's plan holds a call of a tool that is not idempotent."""
    world.offer_tool()
    return await kills(world, broker, lambda world: world.paid_and_unanswered >= 3)


async def pauses(world: World, _: LocalBroker | None) -> Result:
    """2: SIGSTOP beyond the session, SIGCONT; then another worker leaves, so that partitions come back.

    The stop outlasts the questions' deadlines: the worker wakes up with failed outcomes to write.
    """
    size = world.size
    await _start(world, KOTAE_LIMITS__DEADLINE_S=str(size.outage_s * 0.7))
    over_s = size.faults * (size.outage_s + size.interval_s)
    load = asyncio.create_task(world.produce(size.questions, over_s=over_s))
    rejoined = []
    for _ in range(size.faults):
        await asyncio.sleep(size.interval_s / 2)
        victim = world.rng.choice(world.workers)
        world.signal(victim, signal.SIGSTOP)
        await asyncio.sleep(size.outage_s)
        world.signal(victim, signal.SIGCONT)
        continued = time.time()
        await eventually(
            lambda since=continued: world.observer.rebalances[-1] > since,
            40,
            "the paused worker is back in its group",
        )
        rejoined.append(round(time.time() - continued, 1))
        await world.stop(world.rng.choice([worker for worker in world.workers if worker is not victim]))
        world.start_worker()
        await asyncio.sleep(size.interval_s / 2)
    await load
    result = await _finish(world, duplicates=None)
    result.figures["rejoined_s"] = rejoined
    result.expect(max(rejoined) <= 20, f"rejoined after {rejoined} s")
    return result


async def broker_away(world: World, broker: LocalBroker | None) -> Result:
    """3: SIGKILL of the broker, and its return; one worker gets SIGTERM meanwhile."""
    assert broker is not None
    size = world.size
    await _start(world)
    load = asyncio.create_task(world.produce(size.questions, over_s=size.interval_s))
    await asyncio.sleep(size.interval_s / 2)
    world.record("broker killed")
    await broker.kill()
    began = time.time()
    await asyncio.sleep(1)
    leaver = world.rng.choice(world.workers)
    asked = time.time()
    code = await world.stop(leaver)
    took = time.time() - asked
    world.exits.clear()
    await asyncio.sleep(max(0.0, began + size.outage_s - time.time()))
    await broker.restart()
    back = time.time()
    await eventually(lambda: any(one.at > back for one in world.observer.outcomes), 60, "answers go on")
    recovered = time.time() - back
    await load
    result = await _finish(world, duplicates=None)
    result.figures |= {"sigterm_s": round(took, 1), "sigterm_code": code, "recovered_s": round(recovered, 1)}
    result.expect(took <= 15 and code in (0, 1), f"SIGTERM with the broker away: {code} after {took:.1f} s")
    result.expect(recovered <= 30, f"answers went on {recovered:.1f} s after the broker was back")
    lost = [one for one in result.ledgers.produced if one.result == "ok" and one.place is None]
    result.expect(not lost, f"acknowledged and lost: {lost}")
    return result


POISON: dict[str, bytes | None] = {
    "truncated": b'{"id": "x", "text": "Wh',
    "not UTF-8": b'{"id": "x", "text": "\xff\xfe"}',
    "null": None,
    "deep": b'{"id": "x", "text": "W?", "metadata": {"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}}",
    "NaN": b'{"id": "x", "text": "What?", "metadata": {"n": NaN}}',
    "no question": b"[1, 2]",
}


async def poison(world: World, _: LocalBroker | None) -> Result:
    """6: undecodable records among good ones of the same keys."""
    await _start(world)
    load = asyncio.create_task(world.produce(world.size.questions, over_s=3))
    headers = [("trace", b"\x00\xff"), ("trace", b"again"), ("correlation_id", b"\xfe")]
    bad = []
    for name, value in list(POISON.items()) * world.size.faults:
        key = f"c{world.rng.randrange(world.size.keys)}".encode()
        bad.append(await world.send(name, key, value, headers))
    await load
    alive = set(world.workers)
    result = await _finish(world, duplicates=0)
    letters = sorted(letter.source for letter in result.ledgers.dead_letters)
    result.expect(
        letters == sorted(place for place in bad if place), "one dead letter for each, and for no other"
    )
    failed = {one.source for one in result.ledgers.outcomes if one.status == "failed"}
    result.expect(failed == set(bad), "they fail, and their neighbours do not")
    result.expect({worker for worker, _ in world.exits} == alive, "nothing was restarted")
    return result


async def reply_abuse(world: World, _: LocalBroker | None) -> Result:
    """7: reply_to names topics that must not be written to."""
    prefix = world.kafka.topic_prefix
    other, allowed = f"{prefix}private", f"{prefix}replies"
    admin = AIOKafkaAdminClient(bootstrap_servers=world.kafka.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(other, 1, 1), NewTopic(allowed, 2, 1)])
    await admin.close()
    await _start(world)
    names = [*sorted(world.topics.own), "__consumer_offsets", "x" * 300, other, "../etc", allowed]
    count = max(1, world.size.questions // len(names))
    for number, name in enumerate(names):
        await world.produce(count, prefix=f"r{number}-", headers=[("reply_to", name.encode())])
    result = await _finish(world, duplicates=0)
    result.expect(
        sum((await end_offsets(world.kafka, other)).values()) == 0, "a topic off the list was written to"
    )
    asked = sum((await end_offsets(world.kafka, world.topics.questions)).values())
    result.expect(asked == count * len(names), f"{asked} questions where {count * len(names)} were asked")
    copies = sum((await end_offsets(world.kafka, allowed)).values())
    result.expect(copies == count, f"{copies} copies of {count}")
    result.expect(not result.ledgers.dead_letters, "a dead letter was written")
    return result


async def churn(world: World, _: LocalBroker | None) -> Result:
    """9: members join and leave all the time; one stays."""
    size = world.size
    await _start(world)
    stays = world.workers[0]
    load = asyncio.create_task(world.produce(size.questions, over_s=size.faults * size.interval_s))
    stopping: list[asyncio.Task[int]] = []
    for _ in range(size.faults):
        others = [worker for worker in world.workers if worker is not stays]
        if others and (len(others) >= size.workers or world.rng.random() < 0.5):
            stopping.append(asyncio.create_task(world.stop(world.rng.choice(others))))
        else:
            world.start_worker()
        await asyncio.sleep(size.interval_s)
    await load
    await asyncio.gather(*stopping)
    result = await _finish(world, duplicates=None)
    outcomes = sorted(one.at for one in result.ledgers.outcomes)
    pause = max((after - before for before, after in itertools.pairwise(outcomes)), default=0.0)
    result.figures |= {"longest_pause_s": round(pause, 1), "rebalances": len(world.observer.rebalances)}
    result.expect(pause <= 30, f"no progress for {pause:.1f} s")
    return result


async def oversize(world: World, _: LocalBroker | None) -> Result:
    """14: a question, an answer and a dead letter too large, the last until its topic is repaired."""
    size = world.size
    letters = world.topics.dead_letters
    healthy = world.services.answer
    world.services.answer = lambda name: text("x" * 3_000_000) if name.startswith("huge") else healthy(name)
    await _start(world)
    await _limit(world, letters, 400)
    await world.produce(size.questions, over_s=2)
    large = json.dumps({"id": "large", "text": "w" * (RECORD_MAX_BYTES - 2000)}).encode()
    await world.send("large", b"c0", large)
    await world.produce(2, prefix="huge")
    waiting = {world.places[name] for name in ("large", "huge0", "huge1")}
    await eventually(
        lambda: len(world.observer.answered) >= size.questions // 2, size.drain_s, "others go on"
    )
    await asyncio.sleep(2)  # a wrong outcome would come now, and only time shows that none does
    early = waiting & world.observer.answered
    await _limit(world, letters, OUTCOME_MAX_BYTES)
    result = await _finish(world, duplicates=0)
    result.expect(not early, f"answered before their dead letters were safe: {sorted(early)}")
    failed = {one.source for one in result.ledgers.outcomes if one.status == "failed"}
    result.expect(failed == waiting, "what is too large fails, and nothing else")
    return result


SCENARIOS: dict[int, Callable[[World, LocalBroker | None], Awaitable[Result]]] = {
    0: calm,
    1: kills,
    2: pauses,
    3: broker_away,
    6: poison,
    7: reply_abuse,
    9: churn,
    14: oversize,
    16: tools_once,
}

CI: dict[int, Size] = {
    0: Size(questions=100, workers=2, keys=10),
    1: Size(questions=300, faults=2, interval_s=8),
    2: Size(questions=200, workers=2, faults=1, keys=200, outage_s=9, interval_s=4, latency_s=(0.5, 1.5)),
    3: Size(questions=150, workers=2, outage_s=8, interval_s=4),
    6: Size(questions=100, workers=2, faults=2),
    7: Size(questions=96, workers=1),
    9: Size(questions=250, workers=3, faults=10, interval_s=1.5),
    14: Size(questions=40, workers=1, keys=20),
    16: Size(questions=200, faults=2, interval_s=8),
}

FULL: dict[int, Size] = {
    0: Size(questions=2000, session_s=10),
    1: Size(questions=2000, faults=20, interval_s=5, session_s=10, drain_s=180),
    2: Size(
        questions=2000, faults=3, outage_s=30, interval_s=10, session_s=10, latency_s=(1, 3), drain_s=180
    ),
    3: Size(questions=2000, outage_s=60, interval_s=20, session_s=10, drain_s=180),
    6: Size(questions=2000, faults=20, session_s=10),
    7: Size(questions=1200, session_s=10),
    9: Size(questions=2000, faults=240, interval_s=0.5, session_s=10, drain_s=180),
    14: Size(questions=500, session_s=10),
    16: Size(questions=2000, faults=20, interval_s=5, session_s=10, drain_s=180),
}


async def _start(world: World, **settings: str) -> None:
    for _ in range(world.size.workers):
        world.start_worker(**settings)
    await world.ready()


async def _finish(world: World, *, duplicates: int | None) -> Result:
    world.exits.clear()
    result = Result(await world.finish(duplicates=duplicates))
    for worker, code in world.exits:
        result.expect(code == 0, f"a worker ended with {code} ({worker.log})")
    return result


async def _limit(world: World, topic: str, size: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=world.kafka.bootstrap_servers)
    await admin.start()
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": str(size)})
        await admin.alter_configs([resource])
    finally:
        await admin.close()
