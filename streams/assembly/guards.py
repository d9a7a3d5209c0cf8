"""The guard of every dependency, as the settings describe it."""

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
        """Return by dependency: its breaker, its limit, the slots in use and the calls that wait."""
        return {guard.dependency: guard.state() for guard in self._guards}

    def model(self, dependency: str, concurrency: int) -> Guard:
        """Make the guard of a model, or of a custom component in its place: its limit is adaptive."""
        adaptive = AdaptiveLimit(concurrency) if self._settings.adaptive_concurrency else None
        return self._guard(
            dependency,
            bulkhead=Bulkhead(dependency, concurrency),
            adaptive=adaptive,
            budget=self._budget(),
        )

    def search(self, dependency: str) -> Guard:
        """Make the guard of a search server: its calls are hedged."""
        return self._guard(dependency, budget=self._budget(), hedged=self._settings.hedging)

    def tool(self, tool: Tool) -> Guard:
        """Make the guard of one tool: without `idempotent` no call is repeated; only GETs are hedged."""
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
