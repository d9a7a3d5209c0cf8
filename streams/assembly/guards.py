"""The guard of every dependency, as the settings want it, and what they say of themselves."""

from typing import Any

from agents.resilience.breaker import Breaker
from agents.resilience.bulkhead import Bulkhead
from agents.resilience.events import GuardObserver
from agents.resilience.guard import Guard
from agents.resilience.limiter import AdaptiveLimit
from agents.resilience.retry import RetryBudget
from agents.tools.http_tool import HttpTool
from agents.tools.tool import Tool
from streams.settings.model import Resilience


class Guards:
    """Makes guards, and keeps them for `/state`."""

    def __init__(self, settings: Resilience, observer: GuardObserver) -> None:
        self._settings = settings
        self._observer = observer
        self._guards: list[Guard] = []

    def state(self) -> dict[str, Any]:
        """By dependency: breaker, limit, what is in use and what waits."""
        return {guard.dependency: guard.state() for guard in self._guards}

    def model(self, dependency: str, concurrency: int) -> Guard:
        """For a model server, or what may be one: its limit follows how its calls fare."""
        adaptive = AdaptiveLimit(concurrency) if self._settings.adaptive_concurrency else None
        return self._guard(
            dependency,
            bulkhead=Bulkhead(dependency, concurrency),
            adaptive=adaptive,
            budget=self._budget(),
        )

    def search(self, dependency: str) -> Guard:
        """For a server that is searched: hedged."""
        return self._guard(dependency, budget=self._budget(), hedged=self._settings.hedging)

    def tool(self, tool: Tool) -> Guard:
        """For one tool: what is not idempotent is never repeated, and only a GET is hedged."""
        spec = tool.spec
        dependency = f"tools/{spec.name}"
        is_get = isinstance(tool, HttpTool) and tool.method == "GET"
        return self._guard(
            dependency,
            bulkhead=Bulkhead(dependency, spec.concurrency),
            budget=self._budget() if spec.idempotent else None,
            hedged=self._settings.hedging and spec.idempotent and is_get,
        )

    def _guard(self, dependency: str, **parts: Any) -> Guard:
        breaker = Breaker() if self._settings.breakers else None
        guard = Guard(dependency, self._observer, breaker=breaker, **parts)
        self._guards.append(guard)
        return guard

    def _budget(self) -> RetryBudget | None:
        return RetryBudget() if self._settings.retries else None
