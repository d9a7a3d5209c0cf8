"""Questions that are called back while workers are killed: one outcome each, and no model call afterwards."""

import asyncio
from collections.abc import Awaitable, Callable

from streams.local.broker import LocalBroker
from tests.acceptance.oracle.scenarios import Result, _finish, _start
from tests.acceptance.oracle.world import Size, World

STORM = 200
"""Cancels of questions that nobody has asked, with each fault."""


async def called_back(world: World, _: LocalBroker | None) -> Result:
    """20: half of the questions are called back, at once, while they wait and while they run.

    The others of a kill's victims are called back while the partition is nobody's.
    """
    size = world.size
    await _start(world, KOTAE_CACHE__TTL_S="0")
    cancelled: set[str] = set()

    async def call_back(names: list[str], over_s: float) -> None:
        for name in names:
            cancelled.add(name)
            await world.cancel(name)
            await asyncio.sleep(world.rng.uniform(0.0, 2 * over_s / max(1, len(names))))

    count = size.questions // size.faults
    for number in range(size.faults):
        prefix = f"wave{number}-"
        load = asyncio.create_task(world.produce(count, over_s=size.interval_s / 2, prefix=prefix))
        await asyncio.sleep(size.interval_s / 4)
        asked = [name for name in world.places if name.startswith(prefix)]
        await call_back(asked[::3], size.interval_s / 4)
        await load
        await world.cancel_unknown(STORM)
        await world.kill(world.rng.choice(world.workers))
        answered = world.observer.answered
        left = [name for name, place in world.places.items() if place not in answered]
        await call_back(left[::2], 0.0)
        world.start_worker(KOTAE_CACHE__TTL_S="0")
    result = await _finish(world, duplicates=None)
    ended = {one.id for one in result.ledgers.outcomes if one.code == "cancelled"}
    called = {call.question_id for call in result.ledgers.model_calls}
    result.figures |= {
        "cancels": len(cancelled),
        "cancelled": len(ended),
        "without_a_call": len(ended - called),
    }
    result.expect(len(ended) * 2 >= len(cancelled), f"only {len(ended)} of {len(cancelled)} were cancelled")
    return result


SCENARIOS: dict[int, Callable[[World, LocalBroker | None], Awaitable[Result]]] = {20: called_back}

CI: dict[int, Size] = {
    20: Size(questions=120, workers=2, keys=60, faults=2, interval_s=6, latency_s=(0.5, 2.0)),
}

FULL: dict[int, Size] = {
    20: Size(
        questions=2000, keys=400, faults=20, interval_s=5, session_s=10, latency_s=(0.5, 2.0), drain_s=180
    ),
}
