"""Overload: questions that can be answered in time are, other tenants do not suffer, memory stays flat."""

import asyncio
import contextlib
import math
import statistics
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from schemas.question import Question
from streams.local.broker import LocalBroker
from tests.acceptance.oracle.dialogue import Told, all_told, ask
from tests.acceptance.oracle.scenarios import Result, _finish, _start
from tests.acceptance.oracle.world import Size, World
from tests.support.system import Program, eventually

AT_ONCE = 20
"""Questions that the model's server works on at once; further ones wait there."""
CALL_S = 0.5
PER_S = AT_ONCE / CALL_S
TIMEOUT_S = 3.0
GOODPUT = 0.8
"""The share of the peak rate of answers that must remain under ten times the load."""
OTHERS = 3
OTHERS_PER_S = 3
FLOOD = 50
SLOWER = 1.5
GROWTH_MB = 64
"""The most memory that a worker may hold after the overload beyond that before: its buffers are bounded."""
SLACK_S = 0.25
"""How late a call begun right before the deadline may reach the server, on a busy machine."""


async def overload(world: World, _: LocalBroker | None) -> Result:
    """12: one tenant asks 50 times as much as the others; then all ask ten times the model's capacity."""
    size = world.size
    phase_s = size.interval_s
    world.services.model.capacity = asyncio.Semaphore(AT_ONCE)
    await _start(world, KOTAE_CACHE__TTL_S="0", KOTAE_WORKER__MAX_IN_FLIGHT=str(AT_ONCE))
    [worker] = world.workers
    headers = [("timeout_ms", b"%d" % int(TIMEOUT_S * 1000))]

    async def offer(prefix: str, per_s: float, seconds: float, tenants: Sequence[str]) -> None:
        questions = [
            Question(
                id=f"{prefix}{number}",
                text=f"What of {prefix}{number}?",
                tenant=tenants[number % len(tenants)],
            )
            for number in range(int(per_s * seconds))
        ]
        await ask(world, questions, seconds, headers)

    async def settled() -> None:
        with contextlib.suppress(TimeoutError):
            await eventually(world.drained, size.drain_s, "all have their outcome")

    others = [f"tenant{number}" for number in range(OTHERS)]
    await offer("alone", OTHERS * OTHERS_PER_S, phase_s, others)
    await settled()
    await asyncio.gather(
        offer("beside", OTHERS * OTHERS_PER_S, phase_s, others),
        offer("flood", FLOOD * OTHERS_PER_S, phase_s, ["flood"]),
    )
    await settled()
    await offer("peak", 1.1 * PER_S, phase_s, others)
    await settled()
    before_mb = _resident_mb(worker)
    world.record("overload")
    await offer("over", 10 * PER_S, size.outage_s, others)
    await settled()
    after_mb = _resident_mb(worker)
    result = await _finish(world, duplicates=0)
    told = await all_told(world)
    alone, beside = _p95(told, "alone"), _p95(told, "beside")
    peak, goodput = _answered_per_s(told, "peak", phase_s), _answered_per_s(told, "over", size.outage_s)
    asked_at = {one.id: one.asked_at for one in told}
    too_late = [
        call
        for call in world.services.model_calls
        if call.at > asked_at[call.question_id] + TIMEOUT_S + SLACK_S
    ]
    latest = max(one.took_s for one in told) - TIMEOUT_S
    codes = sorted({one.answer["error"]["code"] for one in told if one.status == "failed"})
    result.figures |= {
        "p95_alone_s": round(alone, 2),
        "p95_beside_flood_s": round(beside, 2),
        "peak_per_s": round(peak, 1),
        "goodput_per_s": round(goodput, 1),
        "latest_after_deadline_s": round(latest, 2),
        "rss_mb": f"{before_mb:.0f}->{after_mb:.0f}",
        "failed_as": "+".join(codes),
    }
    result.expect(
        beside <= SLOWER * alone, f"others waited {beside:.2f} s beside the flood, {alone:.2f} s without"
    )
    result.expect(
        goodput >= GOODPUT * peak, f"{goodput:.0f} answers a second under overload, {peak:.0f} at most"
    )
    result.expect(not too_late, f"{len(too_late)} questions reached the model after their deadline")
    result.expect(latest <= 2, f"an outcome came {latest:.1f} s after its deadline")
    result.expect(after_mb - before_mb <= GROWTH_MB, f"{after_mb - before_mb:.0f} MB more after the overload")
    return result


def _p95(told: Sequence[Told], prefix: str) -> float:
    took = [one.took_s if one.status == "answered" else math.inf for one in told if one.id.startswith(prefix)]
    return statistics.quantiles(took, n=20)[-1]


def _answered_per_s(told: Sequence[Told], prefix: str, seconds: float) -> float:
    """Answers a second while questions were asked, the first deadline's length included."""
    asked = [one for one in told if one.id.startswith(prefix)]
    until = min(one.asked_at for one in asked) + seconds
    return sum(one.status == "answered" and one.told_at <= until for one in asked) / seconds


def _resident_mb(worker: Program) -> float:
    pages = int(Path(f"/proc/{worker.pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


SCENARIOS: dict[int, Callable[[World, LocalBroker | None], Awaitable[Result]]] = {12: overload}

CI: dict[int, Size] = {
    12: Size(questions=0, workers=1, interval_s=3, outage_s=6, latency_s=(0.5 * CALL_S, 1.5 * CALL_S)),
}

FULL: dict[int, Size] = {
    12: Size(
        questions=0,
        workers=1,
        interval_s=20,
        outage_s=60,
        session_s=10,
        latency_s=(0.5 * CALL_S, 1.5 * CALL_S),
    ),
}
