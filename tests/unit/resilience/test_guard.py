"""One call with all its guards, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from agents.components import Call, Trail
from agents.errors import (
    BadOutputError,
    DependencyError,
    OpenBreakerError,
    PermanentError,
    ThrottledError,
    TransientError,
    UnfitOutputError,
)
from agents.resilience.guard import Guard
from agents.resilience.retry import BUDGET_MAX
from agents.run import Run
from agents.tools.tool import RejectedCallError
from schemas.question import Question
from tests.support.components import RecordingObserver
from tests.support.guards import GuardEvents, whole_guard

pytestmark = pytest.mark.looptime

BROKEN = TransientError("model", "HTTP 500", status=500)


@dataclass
class Dependency:
    """Takes `takes_s`, then raises the next of `errors`, or `always`; succeeds otherwise."""

    takes_s: float = 0.1
    errors: list[DependencyError] = field(default_factory=list)
    always: DependencyError | None = None
    numbers: list[int] = field(default_factory=list)
    running: int = 0

    async def attempt(self, call: Call) -> str:
        self.numbers.append(call.attempt)
        self.running += 1
        try:
            await asyncio.sleep(self.takes_s)
        finally:
            self.running -= 1
        error = self.errors.pop(0) if self.errors else self.always
        if error is not None:
            # A new error each time, because guards mark the errors that they have handled.
            raise type(error)("model", error.message, status=error.status, retry_after_s=error.retry_after_s)
        return "fine"


def now() -> float:
    return asyncio.get_running_loop().time()


def call_for(seconds: float, trail: Trail | None = None) -> Call:
    return Call("q", "retrieve", now() + seconds, trail=trail)


async def ask(guard: Guard, attempt: Callable[[Call], Awaitable[str]], seconds: float = 30.0) -> str:
    """A call as a stage makes it: cancelled at its limit."""
    call = call_for(seconds)
    async with asyncio.timeout_at(call.deadline):
        return await guard.acall(attempt, call)


async def test_a_transient_error_is_repeated_with_the_next_attempt_number() -> None:
    events, dependency = GuardEvents(), Dependency(errors=[BROKEN])
    guard = whole_guard(events, now())
    began = now()
    assert await ask(guard, dependency.attempt) == "fine"
    assert dependency.numbers == [1, 2]
    assert now() - began == pytest.approx(0.1 + 0.25 + 0.1)
    assert events.of("attempt") == ["transient", "ok"]
    assert events.of("retried") == ["transient"]


@pytest.mark.parametrize(
    ("error", "attempts"),
    [(PermanentError("model", "HTTP 401", status=401), 1), (BadOutputError("model", "no JSON"), 2)],
)
async def test_the_class_of_the_error_decides_the_number_of_attempts(
    error: DependencyError, attempts: int
) -> None:
    dependency = Dependency(always=error)
    guard = whole_guard(GuardEvents(), now())
    for _ in range(30):  # earns the budget of a few repeats
        await ask(guard, Dependency().attempt)
    with pytest.raises(type(error)):
        await ask(guard, dependency.attempt)
    assert dependency.numbers == list(range(1, attempts + 1))


async def test_a_call_that_may_not_be_repeated_is_made_once() -> None:
    dependency = Dependency(always=BROKEN)
    guard = whole_guard(GuardEvents(), now())
    with pytest.raises(TransientError):
        await guard.acall(dependency.attempt, call_for(30), may_repeat=lambda: False)
    assert dependency.numbers == [1]


async def test_retry_after_is_waited_for_within_the_deadline_and_else_not_at_all() -> None:
    asked_for = ThrottledError("model", "HTTP 429", status=429, retry_after_s=5.0)
    patient, hasty = Dependency(errors=[asked_for]), Dependency(errors=[asked_for])
    guard = whole_guard(GuardEvents(), now())
    began = now()
    assert await ask(guard, patient.attempt) == "fine"
    assert now() - began >= 5.0
    began = now()
    with pytest.raises(ThrottledError):
        await ask(guard, hasty.attempt, seconds=5.0)
    assert now() - began == pytest.approx(0.1)


@pytest.mark.parametrize(
    "error", [BROKEN, ThrottledError("model", "HTTP 503", status=503)], ids=["HTTP 500", "HTTP 503"]
)
async def test_while_everything_fails_calls_stay_within_the_budget_and_it_heals_by_itself(
    error: DependencyError,
) -> None:
    events, dependency = GuardEvents(), Dependency(takes_s=0.05, always=error)
    guard = whole_guard(events, now())
    questions = 0

    async def question() -> bool:
        try:
            await ask(guard, dependency.attempt)
        except DependencyError:
            return False
        return True

    began = now()
    while now() - began < 300:
        await asyncio.gather(*(question() for _ in range(5)))
        questions += 5
        await asyncio.sleep(0.2)
    probes = 2 * events.of("breaker").count("half_open")
    assert len(dependency.numbers) <= 1.1 * questions + probes
    assert len(dependency.numbers) < 150, "an open breaker calls nothing"
    dependency.always = None
    healed = now()
    for _ in range(300):
        if await question():
            break
        await asyncio.sleep(0.2)
    assert now() - healed <= 60.0
    assert await question()
    assert all(await asyncio.gather(*(question() for _ in range(500)))), "at full speed"


async def test_errors_that_one_tenant_alone_can_cause_do_not_open_the_breaker() -> None:
    events = GuardEvents()
    guard = whole_guard(events, now())
    for error in (
        ThrottledError("model", "HTTP 429", status=429),
        ThrottledError("model", "HTTP 503", status=503, retry_after_s=1.0),
        UnfitOutputError("model", "wrote no text"),
        *(PermanentError("model", f"HTTP {code}", status=code) for code in (400, 401, 403, 404, 413, 422)),
    ):
        for _ in range(200):
            with pytest.raises(DependencyError):
                await guard.acall(Dependency(always=error).attempt, call_for(30), may_repeat=lambda: False)
    assert events.of("breaker") == []


async def test_a_time_out_of_the_stage_is_a_failure() -> None:
    events, hangs = GuardEvents(), Dependency(takes_s=1e6)
    guard = whole_guard(events, now())
    for _ in range(10):
        with pytest.raises(TimeoutError):
            await ask(guard, hangs.attempt, seconds=2.0)
    assert events.of("attempt") == ["timeout"] * 10
    assert (events.of("breaker"), events.of("cause")) == (["open"], ["timeout"])
    began = now()
    with pytest.raises(OpenBreakerError):
        await ask(guard, hangs.attempt)
    assert now() == began, "refused at once"
    assert len(hangs.numbers) == 10


async def test_a_call_that_is_given_up_says_nothing_and_frees_its_slot_at_once() -> None:
    events, hangs = GuardEvents(), Dependency(takes_s=1e6)
    guard = whole_guard(events, now(), limit=1)
    for _ in range(30):
        task = asyncio.create_task(guard.acall(hangs.attempt, call_for(30)))
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.wait([task])
        assert (hangs.running, guard.state()["in_use"]) == (0, 0)
    assert events.of("breaker") == []
    assert events.of("attempt") == ["cancelled"] * 30
    began = now()
    assert await ask(guard, Dependency(takes_s=0.5).attempt) == "fine"
    assert now() - began == pytest.approx(0.5)


async def test_calls_with_too_little_time_open_no_breaker_and_lower_no_limit() -> None:
    events = GuardEvents()
    guard = whole_guard(events, now(), limit=100)
    for _ in range(20):
        await ask(guard, Dependency(takes_s=1.0).attempt)
    for _ in range(50):
        with pytest.raises(TimeoutError):
            await ask(guard, Dependency(takes_s=1.0).attempt, seconds=0.5)
    assert (guard.state()["limit"], guard.state()["breaker"]) == (100, "closed")
    assert events.of("attempt").count("timeout") == 50
    for _ in range(10):
        with pytest.raises(TimeoutError):
            await ask(guard, Dependency(takes_s=1e6).attempt, seconds=1.5)
    assert guard.state()["breaker"] == "open"


async def test_calls_that_wait_for_a_slot_are_refused_when_the_breaker_opens() -> None:
    guard = whole_guard(GuardEvents(), now(), limit=20)
    hangs = Dependency(takes_s=1e6).attempt
    # Ten run out of time and open it; the other ten hold on to all slots of the halved limit.
    holding = [asyncio.create_task(ask(guard, hangs, 5.0 if n % 2 else 60.0)) for n in range(20)]
    await asyncio.sleep(1.0)
    waiting = [asyncio.create_task(ask(guard, Dependency().attempt, 30.0)) for _ in range(20)]
    began = now()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert now() - began == pytest.approx(4.0)
    assert all(isinstance(result, OpenBreakerError) for result in results)
    for task in holding:
        task.cancel()
    await asyncio.wait(holding)


async def test_throttling_lowers_the_limit_and_success_raises_it_again() -> None:
    events = GuardEvents()
    guard = whole_guard(events, now(), limit=100)
    capacity, running = 10, 0

    async def model(number: int) -> str:
        nonlocal running
        if running >= capacity:
            await asyncio.sleep(0.01)
            raise ThrottledError("model", "HTTP 429")
        running += 1
        try:
            await asyncio.sleep(1.0)
        finally:
            running -= 1
        return "fine"

    async def user(until: float) -> int:
        done = 0
        while now() < until:
            try:
                await guard.acall(model, call_for(60), may_repeat=lambda: False)
                done += 1
            except ThrottledError:
                await asyncio.sleep(0.1)
        return done

    done = sum(await asyncio.gather(*(user(now() + 100) for _ in range(50))))
    assert done >= 0.7 * capacity * 100
    assert events.of("attempt").count("throttled") <= 0.25 * done
    capacity = 1000
    await asyncio.gather(*(user(now() + 60) for _ in range(50)))
    assert guard.state()["limit"] >= 50


async def test_calls_get_their_slots_in_order_while_others_keep_coming() -> None:
    guard = whole_guard(GuardEvents(), now(), limit=2)
    served: list[int] = []

    async def one(number: int) -> None:
        await ask(guard, Dependency(takes_s=1.0).attempt, 100.0)
        served.append(number)

    tasks = []
    for number in range(60):
        tasks.append(asyncio.create_task(one(number)))
        await asyncio.sleep(0.45)
    await asyncio.gather(*tasks)
    assert served == list(range(60)), "first come, first served"


async def test_a_slow_call_is_hedged_within_the_budget_and_the_loser_is_cancelled() -> None:
    events = GuardEvents()
    guard = whole_guard(events, now(), hedged=True)
    for _ in range(20):
        await ask(guard, Dependency().attempt)
    slow = Dependency(takes_s=20.0)

    async def attempt(call: Call) -> str:
        return await (slow.attempt(call) if call.attempt == 1 else Dependency().attempt(call))

    began = now()
    assert await ask(guard, attempt) == "fine"
    assert now() - began == pytest.approx(0.2)
    await asyncio.sleep(0)
    assert slow.running == 0
    assert events.of("hedged") == [None]
    assert guard.state()["breaker"] == "closed"
    hedges = 0
    for _ in range(100):
        before = len(events.of("hedged"))
        await ask(guard, Dependency(takes_s=0.3).attempt)
        hedges += len(events.of("hedged")) - before
    assert 0 < hedges <= BUDGET_MAX + 0.1 * 100 + 100 * 0.3


async def test_a_failed_attempt_and_its_failed_hedge_are_traced_with_the_hedges_number() -> None:
    class Told:
        def __init__(self) -> None:
            self.failed: list[int] = []

        def attempt_failed(self, stage: str, attempt: int, started: float, error: DependencyError) -> None:
            self.failed.append(attempt)

    guard, told = whole_guard(GuardEvents(), now(), hedged=True), Told()
    for _ in range(20):
        await ask(guard, Dependency().attempt)

    async def attempt(call: Call) -> int:
        await asyncio.sleep(0.15)
        if call.attempt <= 2:
            raise TransientError("model", "both of them")
        return call.attempt

    # The trace gives the next attempt the next number, which its server has seen too.
    assert await guard.acall(attempt, call_for(30, told)) == 3  # type: ignore[arg-type]
    assert told.failed == [2]


@pytest.mark.parametrize(
    ("first_takes_s", "fails", "used"), [(20.0, False, 2), (0.25, True, 2), (0.25, False, 1)]
)
async def test_the_trace_has_the_number_of_the_attempt_whose_result_was_used(
    first_takes_s: float, fails: bool, used: int
) -> None:
    guard = whole_guard(GuardEvents(), now(), hedged=True)
    for _ in range(20):
        await ask(guard, Dependency().attempt)

    async def attempt(call: Call) -> int:
        await asyncio.sleep(first_takes_s if call.attempt == 1 else 0.2)
        if call.attempt == 1 and fails:
            raise TransientError("index", "reset")
        return call.attempt

    run, started = Run(Question(id="q", text="why?"), now() + 30, RecordingObserver()), now()
    assert await guard.acall(attempt, call_for(30, run)) == used
    assert run.record("retrieve", "ok", started).attempt == used


async def test_a_call_that_may_not_be_repeated_is_not_hedged() -> None:
    events = GuardEvents()
    guard = whole_guard(events, now(), hedged=True)
    for _ in range(20):
        await ask(guard, Dependency().attempt)
    await guard.acall(Dependency(takes_s=5).attempt, call_for(30), may_repeat=lambda: False)
    assert events.of("hedged") == []


async def test_a_guard_without_parts_only_calls() -> None:
    events = GuardEvents()
    dependency = Dependency(always=BROKEN)
    with pytest.raises(TransientError):
        await Guard("model", events).acall(dependency.attempt, call_for(1))
    assert dependency.numbers == [1]
    assert events.events == [("attempt", "model", "transient"), ("failed", "model", "HTTP 500")]


@pytest.mark.parametrize(
    "error",
    [
        PermanentError("model", "HTTP 401: wrong key", status=401),
        BadOutputError("model", "HTML"),
        ThrottledError("model", "HTTP 429", status=429),
        BROKEN,
    ],
)
async def test_each_failure_of_the_dependency_is_told_with_its_message(error: DependencyError) -> None:
    events = GuardEvents()
    with pytest.raises(type(error)):
        await ask(whole_guard(events, now()), Dependency(always=error).attempt, 0.3)
    assert set(events.of("failed")) == {error.message}


async def test_a_call_that_gets_no_answer_in_its_time_is_told() -> None:
    events = GuardEvents()
    with pytest.raises(TimeoutError):
        await ask(whole_guard(events, now()), Dependency(takes_s=60).attempt, 2.0)
    assert events.of("failed") == ["no answer within 2 s"]


async def test_calls_that_were_not_made_or_were_not_to_blame_are_not_told() -> None:
    events = GuardEvents()
    guard = whole_guard(events, now())
    with pytest.raises(UnfitOutputError):
        await ask(guard, Dependency(always=UnfitOutputError("model", "no text")).attempt, 0.3)
    with pytest.raises(RejectedCallError):
        await ask(guard, Dependency(always=RejectedCallError("tools/a", "no such field")).attempt)
    call = asyncio.create_task(ask(guard, Dependency(takes_s=60).attempt))
    await asyncio.sleep(0.1)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert events.of("failed") == []
