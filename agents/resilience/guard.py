"""The guard of one dependency, through which every call to it goes.

An open breaker refuses the call at once. Else the call waits for a slot of the bulkhead, runs, and reports
its end to breaker and limit. A failed call is repeated if its error, the deadline and the retry budget
allow it. This is the only layer of retries: nothing below repeats a call.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from typing import Any, TypeVar

from agents.components import Call
from agents.errors import (
    DependencyError,
    OpenBreakerError,
    ThrottledError,
    TimedOutError,
)
from agents.resilience.breaker import Breaker, BreakerState
from agents.resilience.bulkhead import Bulkhead
from agents.resilience.events import GuardObserver
from agents.resilience.hedge import LatencyWindow, ahedged
from agents.resilience.limiter import AdaptiveLimit
from agents.resilience.retry import RetryBudget, wait_before_retry
from agents.resilience.verdict import CallVerdict, judge_failure

T = TypeVar("T")

CLOCK_SLACK_S = 0.001
"""Seconds before its deadline at which a stage's timer may fire, because clocks are not exact."""


def _always() -> bool:
    return True


class Guard:
    """The guard of one dependency. A part that is None does nothing.

    Args:
        dependency: its name in errors, metrics and `/state`, for instance `model` or `tools/weather`.
        observer: observes attempts, retries, hedges and changes of breaker and limit.
        breaker: stops calls while the dependency fails.
        bulkhead: bounds the calls that run at once.
        adaptive: adapts the bulkhead's limit to successes and overload; needs a bulkhead.
        budget: allows retries and hedges; without it there are none.
        hedged: whether a slow call that may be repeated gets a second request beside it.
        jitter: draws evenly from 0 to 1.
    """

    def __init__(
        self,
        dependency: str,
        observer: GuardObserver,
        *,
        breaker: Breaker | None = None,
        bulkhead: Bulkhead | None = None,
        adaptive: AdaptiveLimit | None = None,
        budget: RetryBudget | None = None,
        hedged: bool = False,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.dependency = dependency
        self._observer = observer
        self._breaker = breaker
        self._bulkhead = bulkhead
        self._adaptive = adaptive
        self._budget = budget
        self._hedges = hedged
        self._latencies = LatencyWindow()
        self._jitter = jitter
        if bulkhead is not None:
            observer.limit_changed(dependency, bulkhead.limit)

    def __repr__(self) -> str:
        parts = (self._breaker, self._bulkhead, self._adaptive, self._budget)
        return f"<Guard {self.dependency} {' '.join(repr(part) for part in parts if part is not None)}>"

    def state(self) -> dict[str, Any]:
        """Return the fields of `/state`: breaker, limit, calls in use and waiting."""
        shown: dict[str, Any] = {}
        if self._breaker is not None:
            shown["breaker"] = str(self._breaker.state)
        if self._bulkhead is not None:
            bulkhead = self._bulkhead
            shown |= {"limit": bulkhead.limit, "in_use": bulkhead.in_use, "waiting": bulkhead.waiting}
        return shown

    async def acall(
        self,
        attempt: Callable[[Call], Awaitable[T]],
        call: Call,
        *,
        may_repeat: Callable[[], bool] = _always,
    ) -> T:
        """Return the result of `attempt`, which gets `call`, and on each repeat `call` with a higher number.

        The caller must cancel this at `call.deadline`. A cancellation from then on counts as a time-out; an
        earlier one says nothing about the dependency. A time-out counts as the dependency's failure only if
        the call had as long as calls usually take: otherwise questions with little time left could open the
        breaker for everybody. `call.trail` is told of each attempt that another one follows, and of each
        that its hedge beats.

        Args:
            may_repeat: says, after a failure and before hedging, whether another attempt does no harm.

        Raises:
            OpenBreakerError: the dependency is not being called.
            TimedOutError: no slot was free in time.
            DependencyError: the error of the last attempt.
        """
        loop = asyncio.get_running_loop()
        budget = self._budget
        if budget is None:
            return await self._once(attempt, call, loop)
        budget.earn(loop.time())
        numbers = count(call.attempt + 1)
        attempts = 0
        while True:
            started = loop.time()
            attempts += 1
            try:
                if not self._hedges:
                    return await self._once(attempt, call, loop)
                return await self._hedged(attempt, call, numbers, may_repeat)
            except DependencyError as error:
                now = loop.time()
                wait_s = wait_before_retry(error, attempts, now, call.deadline, self._jitter())
                if wait_s is None or not may_repeat() or not budget.spend(now):
                    error.settled = True
                    raise
                self._observer.call_retried(self.dependency, error.reason, wait_s)
                number = next(numbers)
                if call.trail is not None:
                    # The hedge's number, if there was one: the servers' logs know each attempt by its number.
                    call.trail.attempt_failed(call.stage, number - 1, started, error)
                call = call.numbered(number)
            await asyncio.sleep(wait_s)

    async def _once(
        self,
        attempt: Callable[[Call], Awaitable[T]],
        call: Call,
        loop: asyncio.AbstractEventLoop,
    ) -> T:
        started = loop.time()
        breaker, bulkhead = self._breaker, self._bulkhead
        if breaker is not None and breaker.refuses(started):
            raise self._refusal()
        if bulkhead is not None and not bulkhead.take():
            await bulkhead.atake(call.deadline)
            started = loop.time()
        try:
            ticket = 0 if breaker is None else self._entered(breaker, started)
            try:
                result = await attempt(call)
            except BaseException as error:
                now = loop.time()
                self._failed(error, ticket, started, now, late=now >= call.deadline - CLOCK_SLACK_S)
                raise
            self._succeeded(ticket, started, loop.time())
            return result
        finally:
            if bulkhead is not None:
                bulkhead.release()

    async def _hedged(
        self,
        attempt: Callable[[Call], Awaitable[T]],
        call: Call,
        numbers: Iterator[int],
        may_repeat: Callable[[], bool],
    ) -> T:
        loop = asyncio.get_running_loop()
        after_s, budget = self._latencies.p95_s(loop.time()), self._budget
        if after_s is None or budget is None:
            return await self._once(attempt, call, loop)

        def may_start() -> bool:
            if not self._is_closed() or not may_repeat():
                return False
            if not budget.spend(loop.time()):
                return False
            self._observer.call_hedged(self.dependency)
            return True

        def second() -> Awaitable[T]:
            return self._once(attempt, call.numbered(next(numbers)), loop)

        def beaten() -> None:
            if call.trail is not None:
                call.trail.attempt_beaten(call.stage, call.attempt)

        return await ahedged(self._once(attempt, call, loop), after_s, second, may_start, beaten)

    def _is_closed(self) -> bool:
        return self._breaker is None or self._breaker.state is BreakerState.CLOSED

    def _entered(self, breaker: Breaker, now: float) -> int:
        before = breaker.state
        ticket = breaker.enter(now)
        if ticket is None:
            raise self._refusal()
        if breaker.state is not before:
            self._observer.breaker_changed(self.dependency, breaker.state, "")
        return ticket

    def _refusal(self) -> OpenBreakerError:
        return OpenBreakerError(
            self.dependency, "not called: it has failed too often, and its breaker is open"
        )

    def _succeeded(self, ticket: int, started: float, now: float) -> None:
        self._observer.attempt_finished(self.dependency, "ok", now - started)
        self._latencies.add(now - started, now)
        if self._adaptive is not None and self._bulkhead is not None:
            self._limit(self._adaptive.succeeded(self._bulkhead.in_use))
        if self._breaker is not None:
            self._tell(self._breaker, ticket, now, CallVerdict.WELL)

    def _failed(self, error: BaseException, ticket: int, started: float, now: float, *, late: bool) -> None:
        outcome, verdict = judge_failure(error, late=late)
        usual_s = self._latencies.p95_s(now)
        if outcome == TimedOutError.reason and usual_s is not None and now - started < usual_s:
            verdict = CallVerdict.NOTHING
        self._observer.attempt_finished(self.dependency, outcome, now - started)
        timed_out = outcome == TimedOutError.reason and verdict is CallVerdict.FAILED
        if isinstance(error, DependencyError):
            if error.of_server:
                self._observer.attempt_failed(self.dependency, error)
        elif timed_out:
            failure = TimedOutError(self.dependency, f"no answer within {now - started:.3g} s")
            self._observer.attempt_failed(self.dependency, failure)
        # A probe of a dependency that is down does not show how many calls it bears.
        if (
            (timed_out or isinstance(error, ThrottledError))
            and self._adaptive is not None
            and self._is_closed()
        ):
            self._limit(self._adaptive.overloaded(started, now))
        if self._breaker is not None:
            cause = error.message if isinstance(error, DependencyError) else outcome
            self._tell(self._breaker, ticket, now, verdict, cause)

    def _tell(self, breaker: Breaker, ticket: int, now: float, verdict: CallVerdict, cause: str = "") -> None:
        before = breaker.state
        if verdict is CallVerdict.WELL:
            breaker.succeeded(ticket)
        elif verdict is CallVerdict.FAILED:
            breaker.failed(ticket, now)
        elif verdict is CallVerdict.TURNED_AWAY:
            breaker.turned_away(ticket, now)
        else:
            breaker.left(ticket)
        if breaker.state is before:
            return
        self._observer.breaker_changed(self.dependency, breaker.state, cause)
        if breaker.state is BreakerState.OPEN and self._bulkhead is not None:
            self._bulkhead.refuse(self._refusal)

    def _limit(self, changed: bool) -> None:
        if changed and self._adaptive is not None and self._bulkhead is not None:
            self._bulkhead.limit = self._adaptive.current
            self._observer.limit_changed(self.dependency, self._adaptive.current)
