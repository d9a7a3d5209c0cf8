"""Redis and Qdrant away, hung, slow or lying: Redis costs almost nothing, the lack of Qdrant is declared."""

import asyncio
import contextlib
import itertools
import signal
import statistics
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import orjson

from streams.local.broker import LocalBroker
from tests.acceptance.oracle.dialogue import WARRANTY, Told, about_warranty, all_told, ask, quotes_hold, teach
from tests.acceptance.oracle.link import Link, Mode
from tests.acceptance.oracle.scenarios import Result, _finish, _start
from tests.acceptance.oracle.scenarios_tenants import running_redis
from tests.acceptance.oracle.world import Size, World
from tests.support.model_server import text
from tests.support.qdrant_shim import running_shim
from tests.support.system import eventually

ADDED_S = 0.05
RETURN_S = 75.0
"""How long after its return a server may remain unused: a breaker opens for a minute at most."""
LATE_S = 2.0
PER_S = 40
CACHE_FAULTS: dict[str, Mode] = {
    "stopped": "through",
    "down": "refused",
    "slow": "slow",
    "garbage": "garbage",
}


async def broken_cache(world: World, _: LocalBroker | None) -> Result:
    """13: one worker for each way in which its Redis breaks, and one that has none, all at the same time."""
    size = world.size
    async with contextlib.AsyncExitStack() as stack:
        redis, stopped = (stack.enter_context(running_redis()) for _ in range(2))
        links = {
            name: await stack.enter_async_context(Link((stopped if name == "stopped" else redis).port))
            for name in CACHE_FAULTS
        }
        workers = {"": world.start_worker()}
        for name, link in links.items():
            workers[name] = world.start_worker(KOTAE_CACHE__REDIS_URL=f"redis://127.0.0.1:{link.port}/0")
        await world.ready()
        owners: dict[int, str] = {}
        for name, worker in workers.items():
            state = orjson.loads(await world.fetch(worker, "/state"))
            owners |= {int(number): name for number in state["partitions"]}
        await _produce(world, "well", size.interval_s)
        world.record("Redis breaks")
        stopped.signal(signal.SIGSTOP)
        for name, link in links.items():
            await link.set(CACHE_FAULTS[name])
        await _produce(world, "broken", size.outage_s)
        with contextlib.suppress(TimeoutError):
            await eventually(world.drained, size.drain_s, "all have their outcome")
        stopped.signal(signal.SIGCONT)
        for link in links.values():
            await link.set("through")
        healed_at = time.monotonic()
        for number in itertools.count():
            await _produce(world, f"healed{number}-", 0.5)
            if all(link.met >= 5 for link in links.values()) or time.monotonic() > healed_at + RETURN_S:
                break
        back_s = time.monotonic() - healed_at
        unused = [name for name, link in links.items() if link.met < 5]
        result = await _finish(world, duplicates=0)
    told = await all_told(world)
    added = {}
    control = _median_s(told, "broken", owners, "")
    for name in links:
        added[name] = _median_s(told, "broken", owners, name) - control
        result.expect(added[name] <= ADDED_S, f"Redis {name}: an answer took {added[name]:.3f} s longer")
    result.figures |= {f"added_{name}_ms": round(1000 * seconds) for name, seconds in added.items()}
    result.figures["used_again_s"] = round(back_s, 1)
    result.expect(not unused, f"not used again {RETURN_S} s later: {unused}")
    result.expect({one.status for one in told} == {"answered"}, "not all were answered")
    return result


async def _produce(world: World, prefix: str, seconds: float) -> None:
    await world.produce(max(1, int(PER_S * seconds)), over_s=seconds, prefix=prefix)


def _median_s(told: list[Told], prefix: str, owners: dict[int, str], name: str) -> float:
    return statistics.median(
        one.answer["timings_ms"]["total"] / 1000
        for one in told
        if one.id.startswith(prefix) and owners.get(one.answer["source"]["partition"]) == name
    )


INDEX_FAULTS: tuple[Mode | int, ...] = ("refused", "hung", "garbage", "reset", "slow", 500)
RETRIEVE_S = 0.5
DECLARED = {"retrieval_unavailable", "retrieval_timeout"}


async def broken_index(world: World, _: LocalBroker | None) -> Result:
    """18: a Qdrant server that is away, hung, slow, resets, lies or fails, one after the other."""
    size = world.size
    world.services.answer = lambda _: text("Three years. [1]")
    with running_shim() as (url, shim):
        async with Link(urlsplit(url).port or 0) as link:
            await teach(world, WARRANTY)
            await _start(
                world,
                KOTAE_KNOWLEDGE__QDRANT_URL=f"http://127.0.0.1:{link.port}",
                KOTAE_LIMITS__RETRIEVE_S=str(RETRIEVE_S),
                KOTAE_CACHE__TTL_S="0",
                # It would hide all faults but the first; scenario 5 tests it.
                KOTAE_RESILIENCE__BREAKERS="false",
            )
            await _until_cited(world, "first")
            faults = list(INDEX_FAULTS)
            world.rng.shuffle(faults)
            met: dict[str, int] = {}
            headers = [("timeout_ms", b"5000")]
            back_s = []
            for fault in faults:
                world.record(f"Qdrant {fault}")
                if isinstance(fault, int):
                    await link.set("through")
                    shim.failing = fault
                else:
                    await link.set(fault)
                await ask(world, about_warranty(f"broken-{fault}-", size.questions), headers=headers)
                with contextlib.suppress(TimeoutError):
                    await eventually(world.drained, size.drain_s, "all have their outcome")
                met[str(fault)] = link.met
                shim.failing = None
                await link.set("through")
                back_s.append(await _until_cited(world, f"after-{fault}-"))
            result = await _finish(world, duplicates=0)
    told = await all_told(world)
    cited = [one for one in told if one.answer["citations"]]
    silent = [
        one for one in told if not one.answer["citations"] and not DECLARED & set(one.answer["degraded"])
    ]
    late = max(one.took_s for one in told if one.id.startswith("broken")) - 5.0
    declared = {
        str(fault): sum(not one.answer["citations"] for one in told if one.id.startswith(f"broken-{fault}-"))
        for fault in faults
    }
    result.figures |= {"declared": declared, "back_s": round(max(back_s), 1), "silent": len(silent)}
    result.expect(not silent, f"{len(silent)} answers rest on nothing and do not say so")
    result.expect(quotes_hold(cited, [WARRANTY]), "a citation does not hold")
    result.expect(all(one.status != "failed" for one in told), "a question failed")
    result.expect(late <= LATE_S, f"an outcome came {late:.1f} s after its deadline")
    hurt = [name for name, count in declared.items() if count < size.questions and name != "slow"]
    result.expect(not hurt, f"these faults were not met: {hurt}")
    result.expect(max(back_s) <= RETURN_S, f"Qdrant was used again only after {max(back_s):.0f} s")
    return result


async def _until_cited(world: World, prefix: str) -> float:
    """Ask until an answer cites the documents; the seconds that this took."""
    began = time.monotonic()
    for number in itertools.count():
        name = f"{prefix}{number}"
        [question] = about_warranty(name, 1)
        await ask(world, [question])
        found = [one for one in world.observer.outcomes if one.id == question.id]
        while not found and time.monotonic() < began + RETURN_S:
            await asyncio.sleep(0.05)
            found = [one for one in world.observer.outcomes if one.id == question.id]
        if (found and found[0].status == "answered") or time.monotonic() > began + RETURN_S:
            break
        await asyncio.sleep(0.1)
    return time.monotonic() - began


SCENARIOS: dict[int, Callable[[World, LocalBroker | None], Awaitable[Result]]] = {
    13: broken_cache,
    18: broken_index,
}

CI: dict[int, Size] = {
    13: Size(
        questions=0, workers=5, partitions=10, keys=400, interval_s=1, outage_s=3, latency_s=(0.05, 0.05)
    ),
    18: Size(questions=4, workers=1, latency_s=(0.0, 0.05)),
}

FULL: dict[int, Size] = {
    13: Size(
        questions=0,
        workers=5,
        partitions=10,
        keys=400,
        interval_s=10,
        outage_s=30,
        session_s=10,
        latency_s=(0.05, 0.05),
    ),
    18: Size(questions=100, workers=1, session_s=10),
}
