"""Components behind their guards: each keeps to its protocol, and calls through the guard it is given.

Planner and generator of one model share one guard: it is one dependency.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agents.components import (
    Call,
    DeltaSink,
    Generation,
    Generator,
    Grounding,
    Passage,
    Plan,
    Planner,
    Retriever,
    ToolSpec,
)
from agents.errors import TimedOutError
from agents.resilience.guard import Guard
from schemas.question import Question

if TYPE_CHECKING:
    from agents.knowledge.embeddings import Embeddings


class GuardedRetriever:
    """A `Retriever` behind a guard."""

    def __init__(self, inner: Retriever, guard: Guard) -> None:
        self._inner = inner
        self._guard = guard

    async def aretrieve(self, question: Question, call: Call) -> Sequence[Passage]:
        """See `Retriever`."""

        async def attempt(number: int) -> Sequence[Passage]:
            return await self._inner.aretrieve(question, call.numbered(number))

        return await self._guard.acall(
            attempt, call.deadline, first=call.attempt, trail=call.trail, stage=call.stage
        )


class GuardedPlanner:
    """A `Planner` behind a guard."""

    def __init__(self, inner: Planner, guard: Guard) -> None:
        self._inner = inner
        self._guard = guard

    async def aplan(self, question: Question, tools: Sequence[ToolSpec], call: Call) -> Plan:
        """See `Planner`."""

        async def attempt(number: int) -> Plan:
            return await self._inner.aplan(question, tools, call.numbered(number))

        return await self._guard.acall(
            attempt, call.deadline, first=call.attempt, trail=call.trail, stage=call.stage
        )


class GuardedGenerator:
    """A `Generator` behind a guard. Once a piece of the answer was sent on, it is not repeated."""

    def __init__(self, inner: Generator, guard: Guard) -> None:
        self._inner = inner
        self._guard = guard

    async def agenerate(
        self, grounding: Grounding, call: Call, on_delta: DeltaSink | None = None
    ) -> Generation:
        """See `Generator`."""
        sent = False
        sink = on_delta

        if on_delta is not None:

            def tell(text: str) -> None:
                nonlocal sent
                sent = True
                on_delta(text)

            sink = tell

        async def attempt(number: int) -> Generation:
            return await self._inner.agenerate(grounding, call.numbered(number), sink)

        return await self._guard.acall(
            attempt,
            call.deadline,
            first=call.attempt,
            may_repeat=lambda: not sent,
            trail=call.trail,
            stage=call.stage,
        )


class GuardedEmbeddings:
    """`Embeddings` behind a guard, as far as somebody waits for them: a search embeds one text.

    Many at once are documents on their way into the index; whoever feeds it repeats them.

    Args:
        timeout_s: what a search may wait for a vector before words alone must do.
    """

    def __init__(self, inner: "Embeddings", guard: Guard, timeout_s: float) -> None:
        self._inner = inner
        self._guard = guard
        self._timeout_s = timeout_s

    @property
    def model(self) -> str:
        """See `Embeddings`."""
        return self._inner.model

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        """See `Embeddings`."""
        if len(texts) != 1:
            return await self._inner.aembed(texts)

        async def attempt(_: int) -> list[list[float]]:
            return await self._inner.aembed(texts)

        deadline = asyncio.get_running_loop().time() + self._timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                return await self._guard.acall(attempt, deadline)
        except TimeoutError as error:
            raise TimedOutError(
                self._guard.dependency, f"no vector within {self._timeout_s:.3g} s"
            ) from error
