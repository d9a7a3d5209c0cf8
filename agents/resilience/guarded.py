"""Components behind their guards: each keeps to its protocol, and calls through the guard it is given.

Planner and generator of one model share one guard: it is one dependency.

What only passes a call on is a plain function that returns its coroutine: thousands of questions wait in
here at once, and each frame that does nothing costs 300 bytes of each.
"""

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

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

    def aretrieve(self, question: Question, call: Call) -> Coroutine[Any, Any, Sequence[Passage]]:
        """See `Retriever`."""

        def attempt(number: int) -> Awaitable[Sequence[Passage]]:
            return self._inner.aretrieve(question, call.numbered(number))

        return self._guard.acall(
            attempt, call.deadline, first=call.attempt, trail=call.trail, stage=call.stage
        )


class GuardedPlanner:
    """A `Planner` behind a guard."""

    def __init__(self, inner: Planner, guard: Guard) -> None:
        self._inner = inner
        self._guard = guard

    def aplan(self, question: Question, tools: Sequence[ToolSpec], call: Call) -> Coroutine[Any, Any, Plan]:
        """See `Planner`."""

        def attempt(number: int) -> Awaitable[Plan]:
            return self._inner.aplan(question, tools, call.numbered(number))

        return self._guard.acall(
            attempt, call.deadline, first=call.attempt, trail=call.trail, stage=call.stage
        )


class GuardedGenerator:
    """A `Generator` behind a guard. Once a piece of the answer was sent on, it is not repeated."""

    def __init__(self, inner: Generator, guard: Guard) -> None:
        self._inner = inner
        self._guard = guard

    def agenerate(
        self, grounding: Grounding, call: Call, on_delta: DeltaSink | None = None
    ) -> Coroutine[Any, Any, Generation]:
        """See `Generator`."""
        sent = False
        sink = on_delta

        if on_delta is not None:

            def tell(text: str) -> None:
                nonlocal sent
                sent = True
                on_delta(text)

            sink = tell

        def attempt(number: int) -> Awaitable[Generation]:
            return self._inner.agenerate(grounding, call.numbered(number), sink)

        return self._guard.acall(
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

        def attempt(_: int) -> Awaitable[list[list[float]]]:
            return self._inner.aembed(texts)

        deadline = asyncio.get_running_loop().time() + self._timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                return await self._guard.acall(attempt, deadline)
        except TimeoutError as error:
            raise TimedOutError(
                self._guard.dependency, f"no vector within {self._timeout_s:.3g} s"
            ) from error
