"""The interfaces that stages are made of, and the values that pass between them.

An implementation of a protocol is at home here once it passes that protocol's suite in
`tests/contract/`. All of them:

* return or raise by `call.deadline` (the stage enforces it by cancelling, so they must tolerate
  `asyncio.CancelledError` at any await and leave no connection in use);
* raise only `agents.errors.DependencyError`: anything else is taken for a bug, logged with its
  stack, and degrades the stage all the same;
* never let one tenant see another's data: `question.tenant` is part of every look-up.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from agents.errors import DependencyError
from schemas.answer import ToolCall, ToolCallStatus, Usage
from schemas.question import Question

DeltaSink = Callable[[str], None]
"""Takes a piece of the answer's text as it is generated. Never blocks, may drop."""


_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch
_SLASHED = re.compile(r"[A-Za-z0-9_.~/-]*").fullmatch


def percent_encoded(text: str) -> str:
    """The text as one part of a path, by RFC 3986."""
    # Nearly every identifier is that already, or a stage's, and `quote` is ten times as slow to find it out.
    if _UNRESERVED(text):
        return text
    return text.replace("/", "%2F") if _SLASHED(text) else quote(text, safe="")


class Trail(Protocol):
    """Keeps what happened within one question."""

    def attempt_failed(self, stage: str, attempt: int, started: float, error: DependencyError) -> None:
        """An attempt of a stage, begun at `started` (event loop time), failed; another one follows."""
        ...

    def attempt_beaten(self, stage: str, attempt: int) -> None:
        """The result of a stage is that of the attempt after this one, which was made beside it."""
        ...

    def failed_attempts(self, stage: str) -> int:
        """How many attempts of a stage have failed or were beaten so far, as far as was told."""
        ...

    def found_less(self) -> None:
        """A search may have found less than it could have: what rests on it is not to be kept."""
        ...


class Call(Struct, frozen=True):
    """One attempt of one stage for one question: what every outgoing request is labelled with.

    `deadline` is in seconds of the running event loop's clock (`loop.time()`). `trail` is told of
    attempts that are followed by another. A tool executor that may keep a call waiting, for a slot say,
    awaits `permit` after that, right before the tool starts; where it raises, nothing is started.
    """

    question_id: str
    stage: str
    deadline: float
    attempt: int = 1
    traceparent: str | None = None
    trail: Trail | None = None
    permit: Callable[[], Awaitable[None]] | None = None

    def numbered(self, attempt: int) -> "Call":
        """The same for another attempt."""
        return self if attempt == self.attempt else replace(self, attempt=attempt)

    @property
    def request_id(self) -> str:
        """`X-Request-Id`: `<question id>/<stage>/<attempt>`, each part percent-encoded."""
        return f"{percent_encoded(self.question_id)}/{percent_encoded(self.stage)}/{self.attempt}"

    @property
    def headers(self) -> dict[str, str]:
        """The HTTP headers by which the server's log can be joined with ours."""
        headers = {"X-Request-Id": self.request_id}
        if self.traceparent:
            headers["traceparent"] = self.traceparent
        return headers


class Passage(Struct, frozen=True):
    """A chunk that was found, with its rank score (comparable only within one retrieval)."""

    chunk_id: str
    document_id: str
    title: str
    source: str
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What a planner is told of a tool, and what its calls keep to.

    `parameters` is a JSON Schema of type object; `concurrency` is how many of its calls run at once, over
    all questions of a worker. `cacheable`: its results depend on the arguments alone and may be given
    again for a while, so that an answer which rests on them may be kept.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    timeout_s: float
    idempotent: bool
    cacheable: bool = False
    concurrency: int = 100


class PlannedCall(Struct, frozen=True):
    """A tool call as the model wrote it. `id` is unique within its question.

    Raises nothing for wrong arguments: `arguments` holds what was written (`{}` where it was not a
    JSON object) and `problem` says what is wrong, so that the executor can reject the call.
    """

    id: str
    name: str
    arguments: dict[str, Any]
    problem: str = ""

    def ended(self, status: ToolCallStatus, result: Any, took_s: float = 0.0) -> ToolCall:
        """Return how the call ended, as the answer tells it; where it failed, `result` says why."""
        return ToolCall(
            id=self.id,
            name=self.name,
            arguments=self.arguments,
            status=status,
            result=result,
            duration_ms=round(took_s * 1000, 3),
        )


class Plan(Struct, frozen=True):
    """The tool calls to make; empty where none is needed. `degraded`: as that of a `Generation`."""

    calls: tuple[PlannedCall, ...] = ()
    usage: Usage = Usage()
    degraded: tuple[str, ...] = ()


class Grounding(Struct, frozen=True):
    """All that an answer may rest on. Everything but `question` is untrusted data.

    `missing` names, in words a model can repeat, what could not be had ("the knowledge base").
    """

    question: Question
    passages: Sequence[Passage] = ()
    tool_calls: Sequence[ToolCall] = ()
    missing: Sequence[str] = ()


class Generation(Struct, frozen=True):
    """The model's text, with `[n]` citing the n-th passage from 1, and what it cost.

    `degraded` holds reason codes where it is less than it could have been, else nothing.
    """

    text: str
    model: str
    usage: Usage = Usage()
    degraded: tuple[str, ...] = ()


class Retriever(Protocol):
    """Finds passages of the question's tenant, best first."""

    async def aretrieve(self, question: Question, call: Call) -> Sequence[Passage]:
        """At most the configured number of passages; an empty sequence where nothing matches."""
        ...


class Planner(Protocol):
    """Decides which tools to call, before any untrusted text is seen."""

    async def aplan(self, question: Question, tools: Sequence[ToolSpec], call: Call) -> Plan:
        """A plan that uses only `tools`; it is not run when the deadline passes first."""
        ...


class ToolExecutor(Protocol):
    """Knows the tools of each tenant and runs them."""

    def offered(self, question: Question) -> Sequence[ToolSpec]:
        """The tools that this question's tenant has and that its `tools` field allows."""
        ...

    async def arun(self, planned: PlannedCall, question: Question, call: Call) -> ToolCall:
        """Run one call. Never raises: failures, late ones too, are the result's `status`.

        A call to a tool that `offered(question)` does not hold, or whose arguments do not fit the
        tool's schema, is `rejected` and nothing is sent.
        """
        ...


class Generator(Protocol):
    """Writes the answer."""

    async def agenerate(
        self, grounding: Grounding, call: Call, on_delta: DeltaSink | None = None
    ) -> Generation:
        """The whole answer; with `on_delta`, also each piece of it in order as it arrives."""
        ...
