"""Components behind their guards: each keeps its protocol and calls the component through a guard.

Planner and generator of one model share one guard, because they are one dependency.

A method that only passes a call on is a plain function that returns its coroutine: thousands of questions
wait here at once, and each frame that does nothing costs 300 bytes of each.
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
    Rewriter,
    Rewriting,
    ToolSpec,
)
from agents.errors import TimedOutError
from agents.resilience.guard import Guard
from schemas.question import Question

if TYPE_CHECKING:
    from agents.embeddings.protocol import Embeddings


class GuardedRetriever:
    """A `Retriever` behind a guard."""

    def __init__(self, inner: Retriever, guard: Guard) -> None:
        self._inner = inner
        self._guard = guard

    def aretrieve(self, question: Question, call: Call) -> Coroutine[Any, Any, Sequence[Passage]]:
        """See `Retriever`."""

        def attempt(numbered: Call) -> Awaitable[Sequence[Passage]]:
            return self._inner.aretrieve(question, numbered)

        return self._guard.acall(attempt, call)


class GuardedRewriter:
    """A `Rewriter` behind a guard."""

    def __init__(self, inner: Rewriter, guard: Guard) -> None:
        self._inner = inner
        self._guard = guard

    def arewrite(self, question: Question, call: Call) -> Coroutine[Any, Any, Rewriting]:
        """See `Rewriter`."""

        def attempt(numbered: Call) -> Awaitable[Rewriting]:
            return self._inner.arewrite(question, numbered)

        return self._guard.acall(attempt, call)


class GuardedPlanner:
    """A `Planner` behind a guard."""

    def __init__(self, inner: Planner, guard: Guard) -> None:
        self._inner = inner
        self._guard = guard

    def aplan(self, question: Question, tools: Sequence[ToolSpec], call: Call) -> Coroutine[Any, Any, Plan]:
        """See `Planner`."""

        def attempt(numbered: Call) -> Awaitable[Plan]:
            return self._inner.aplan(question, tools, numbered)

        return self._guard.acall(attempt, call)


class GuardedGenerator:
    """A `Generator` behind a guard. It is not repeated once a piece of the answer was passed on."""

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

            def pass_on(text: str) -> None:
                nonlocal sent
                sent = True
                on_delta(text)

            sink = pass_on

        def attempt(numbered: Call) -> Awaitable[Generation]:
            return self._inner.agenerate(grounding, numbered, sink)

        return self._guard.acall(attempt, call, may_repeat=lambda: not sent)


class GuardedEmbeddings:
    """`Embeddings` whose guard covers searches.

    Documents on their way into the index pass it by: they are repeated for as long as it takes.

    Args:
        timeout_s: how long a search waits for a vector before it goes on with words alone.
    """

    def __init__(self, inner: "Embeddings", guard: Guard, timeout_s: float) -> None:
        self._inner = inner
        self._guard = guard
        self._timeout_s = timeout_s

    @property
    def model(self) -> str:
        """See `Embeddings`."""
        return self._inner.model

    def aembed(self, texts: Sequence[str]) -> Coroutine[Any, Any, list[list[float]]]:
        """See `Embeddings`."""
        return self._inner.aembed(texts)

    async def aembed_search(self, text: str) -> list[float]:
        """See `Embeddings`."""

        def attempt(_: Call) -> Awaitable[list[float]]:
            return self._inner.aembed_search(text)

        # An embedder is not told which question it works for.
        dependency = self._guard.dependency
        call = Call("", dependency, asyncio.get_running_loop().time() + self._timeout_s)
        try:
            async with asyncio.timeout_at(call.deadline):
                return await self._guard.acall(attempt, call)
        except TimeoutError as error:
            raise TimedOutError(dependency, f"no vector within {self._timeout_s:.3g} s") from error
