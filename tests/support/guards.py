"""An observer that keeps the guards' events, and guards as the assembly makes them."""

from dataclasses import dataclass, field

from agents.errors import DependencyError
from agents.resilience.breaker import Breaker
from agents.resilience.bulkhead import Bulkhead
from agents.resilience.guard import Guard
from agents.resilience.limiter import AdaptiveLimit
from agents.resilience.retry import RetryBudget


@dataclass
class GuardEvents:
    """Keeps the events in order: (event, dependency, detail)."""

    events: list[tuple[str, str, object]] = field(default_factory=list)

    def attempt_finished(self, dependency: str, outcome: str, duration_s: float) -> None:
        self.events.append(("attempt", dependency, outcome))

    def attempt_failed(self, dependency: str, error: DependencyError) -> None:
        self.events.append(("failed", dependency, error.message))

    def call_retried(self, dependency: str, reason: str, wait_s: float) -> None:
        self.events.append(("retried", dependency, reason))

    def call_hedged(self, dependency: str) -> None:
        self.events.append(("hedged", dependency, None))

    def breaker_changed(self, dependency: str, state: str, cause: str) -> None:
        self.events.append(("breaker", dependency, str(state)))
        if cause:
            self.events.append(("cause", dependency, cause))

    def limit_changed(self, dependency: str, limit: int) -> None:
        self.events.append(("limit", dependency, limit))

    def of(self, event: str) -> list[object]:
        """The details of all events of one kind."""
        return [what for kind, _, what in self.events if kind == event]


def whole_guard(
    observer: GuardEvents, now: float, *, limit: int = 1000, hedged: bool = False, jitter: float = 0.5
) -> Guard:
    """A guard with breaker, limits, retries and hedging."""
    return Guard(
        "model",
        observer,
        breaker=Breaker(),
        bulkhead=Bulkhead("model", limit),
        adaptive=AdaptiveLimit(limit),
        budget=RetryBudget(),
        hedged=hedged,
        jitter=lambda: jitter,
    )
