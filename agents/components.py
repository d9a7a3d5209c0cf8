"""The components that stages call, as protocols, and the values that pass between them.

A custom component should pass its protocol's suite in `tests/contract/`. Every component:

* returns or raises by `call.deadline`. The stage cancels it then, so it must tolerate
  `asyncio.CancelledError` at any await and leave no connection in use;
* raises only `agents.errors.DependencyError`. Any other exception counts as a bug: it is logged with its
  stack, and degrades the stage all the same;
* never shows one tenant another's data: every look-up includes `question.tenant`.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any, Protocol
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from agents.errors import DependencyError
from schemas.answer import AnswerKnowledge, ToolCall, ToolCallStatus, Usage
from schemas.fingerprint import digest_of
from schemas.question import Question

DeltaSink = Callable[[str], None]
"""Takes a piece of the answer's text as it is generated. It never blocks, and may drop the piece."""

CALL_ID_MAX = 128
"""The longest tool-call id that is kept: ids travel in headers."""

_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch
_SLASHED = re.compile(r"[A-Za-z0-9_.~/-]*").fullmatch


def percent_encoded(text: str) -> str:
    """Return the text as one part of a path, by RFC 3986."""
    # Nearly all identifiers need no encoding or are a stage's; `quote` takes ten times as long to see that.
    if _UNRESERVED(text):
        return text
    return text.replace("/", "%2F") if _SLASHED(text) else quote(text, safe="")


_encoded_stage = lru_cache(maxsize=128)(percent_encoded)
"""Stages and tools are few, and every call names one."""


class Trail(Protocol):
    """The record of attempts within one question."""

    def attempt_failed(self, stage: str, attempt: int, started: float, error: DependencyError) -> None:
        """Note that an attempt, begun at `started` (event loop time), failed and that another one follows."""
        ...

    def attempt_beaten(self, stage: str, attempt: int) -> None:
        """Note that a stage used the result of its next attempt, which ran beside this one."""
        ...

    def failed_attempts(self, stage: str) -> int:
        """Return the number of a stage's attempts that are known to have failed or to be beaten."""
        ...

    def found_less(self, *reasons: str) -> None:
        """Note that a search may have missed passages, for degrade `reasons`: no cache keeps the answer."""
        ...

    def found_in(self, knowledge: AnswerKnowledge) -> None:
        """Note the state of the knowledge in which the question's passages were found."""
        ...


class Call(Struct, frozen=True):
    """One attempt of one stage for one question. It labels every request that the attempt sends.

    `deadline` is in seconds of the running event loop's clock (`loop.time()`). `trail` is told of each
    attempt that another one follows. `idempotency_key`: the key under which a tool is called; empty: that of
    `idempotency_key`. A tool executor awaits `permit` right before the tool starts, after
    any wait of its own, such as one for a slot; if `permit` raises, the tool must not start.
    """

    question_id: str
    stage: str
    deadline: float
    attempt: int = 1
    traceparent: str | None = None
    trail: Trail | None = None
    permit: Callable[[], Awaitable[None]] | None = None
    idempotency_key: str = ""

    def numbered(self, attempt: int) -> "Call":
        """Return the same call for another attempt."""
        return self if attempt == self.attempt else replace(self, attempt=attempt)

    @property
    def request_id(self) -> str:
        """The `X-Request-Id`: `<question id>/<stage>/<attempt>`, each part percent-encoded."""
        return f"{percent_encoded(self.question_id)}/{_encoded_stage(self.stage)}/{self.attempt}"

    @property
    def headers(self) -> dict[str, str]:
        """The HTTP headers by which a server's log can be joined with ours."""
        headers = {"X-Request-Id": self.request_id}
        if self.traceparent:
            headers["traceparent"] = self.traceparent
        return headers


def idempotency_key(question: Question, call_id: str) -> str:
    """Return the `Idempotency-Key` of a tool call: the same on every attempt and in every run."""
    # Most questions name no conversation and no tenant, and every call has a key.
    own = percent_encoded(question.id)
    conversation = (
        own if question.conversation_id == question.id else percent_encoded(question.conversation_id)
    )
    tenant = question.tenant if question.tenant == "default" else percent_encoded(question.tenant)
    return f"{tenant}/{conversation}/{own}/{percent_encoded(call_id)}"


def own_call_id(question: Question, call_id: str) -> str:
    """Return an id that no call of another question under the same id has, whatever model wrote both.

    Models and servers number their calls: without this, a tool's server would take the call for a repeat.
    """
    return f"{sha256(digest_of(question) + call_id.encode(errors='replace')).hexdigest()[:16]}.{call_id}"[
        :CALL_ID_MAX
    ]


def first_idempotency_key(question: Question, call_id: str) -> str:
    """Return the key under which 0.1.0 called tools; its intents do not name it."""
    return f"{percent_encoded(question.id)}/{percent_encoded(call_id)}"


class Copy(Struct, frozen=True):
    """Another document that holds a passage's text; an answer that rests on the passage cites it too."""

    chunk_id: str
    document_id: str
    title: str
    source: str


class Passage(Struct, frozen=True):
    """A chunk that a retriever found, with its rank score (comparable only within one retrieval).

    Attributes:
        start: the chunk's place in its document's plain text, in code points.
        headings: the headings above the chunk, the outermost first. They are searched and shown, and are
            not a part of `text`.
        copies: the other documents of the tenant with the same text.
        lead: the header of the table within which the chunk begins, as Markdown; searched and shown, too.
        likeness: the same for chunks that say the same; empty: unknown.
    """

    chunk_id: str
    document_id: str
    title: str
    source: str
    text: str
    score: float
    start: int = 0
    headings: tuple[str, ...] = ()
    copies: tuple[Copy, ...] = ()
    lead: str = ""
    likeness: str = ""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as planners see it, and the limits of its calls.

    `parameters` is a JSON Schema of type object. `concurrency` is the number of its calls that run at once,
    over all questions of a worker. `cacheable`: its results depend on the arguments alone, so that the cache
    may keep an answer that rests on them.
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

    `arguments` is `{}` if the model did not write a JSON object. `problem` then names the mistake, and the
    executor rejects the call.
    """

    id: str
    name: str
    arguments: dict[str, Any]
    problem: str = ""

    def ended(self, status: ToolCallStatus, result: Any, took_s: float = 0.0) -> ToolCall:
        """Return the call's end for the answer; `result` of a call without a result is the reason."""
        return ToolCall(
            id=self.id,
            name=self.name,
            arguments=self.arguments,
            status=status,
            result=result,
            duration_ms=round(took_s * 1000, 3),
        )


class Plan(Struct, frozen=True):
    """The tool calls to make; none if no tool is needed. `degraded`: see `Generation`."""

    calls: tuple[PlannedCall, ...] = ()
    usage: Usage = Usage()
    degraded: tuple[str, ...] = ()


class Rewriting(Struct, frozen=True):
    """A question's text as it stands alone, without its history, and the tokens that this cost."""

    text: str
    usage: Usage = Usage()


class Grounding(Struct, frozen=True):
    """All that an answer may rest on. Everything but `question` is untrusted data.

    `missing` names the unavailable sources in words that a model can repeat ("the knowledge base").
    `standing`: the question's text as it stands alone, which was searched for; empty: its own text.
    """

    question: Question
    passages: Sequence[Passage] = ()
    tool_calls: Sequence[ToolCall] = ()
    missing: Sequence[str] = ()
    standing: str = ""


class Generation(Struct, frozen=True):
    """The model's text, with `[n]` citing the n-th passage from 1, and its tokens.

    `degraded` holds the reasons (`schemas.errors.DegradeReason`) why it is less than it could have been.
    """

    text: str
    model: str
    usage: Usage = Usage()
    degraded: tuple[str, ...] = ()


class Retriever(Protocol):
    """Finds passages of the question's tenant, best first."""

    async def aretrieve(self, question: Question, call: Call) -> Sequence[Passage]:
        """Return at most the configured number of passages; an empty sequence if nothing matches."""
        ...


class Rewriter(Protocol):
    """Makes a question that leans on its history stand alone, so that it can be searched for."""

    async def arewrite(self, question: Question, call: Call) -> Rewriting:
        """Return the question's text with the names and words of its history that it leans on."""
        ...


class Planner(Protocol):
    """Decides which tools to call, before any untrusted text is seen."""

    async def aplan(self, question: Question, tools: Sequence[ToolSpec], call: Call) -> Plan:
        """Return a plan that uses only `tools`. A plan that comes after the deadline is not run."""
        ...


class ToolExecutor(Protocol):
    """Knows the tools of each tenant and runs them."""

    def offered(self, question: Question) -> Sequence[ToolSpec]:
        """Return the tools that the question's tenant has and its `tools` field allows."""
        ...

    async def arun(self, planned: PlannedCall, question: Question, call: Call) -> ToolCall:
        """Run one call. Never raises: a failure or a time-out is the result's `status`.

        A call is `rejected`, and nothing is sent, if `offered(question)` does not hold its tool or the
        arguments do not fit the tool's schema.
        """
        ...


class Generator(Protocol):
    """Writes the answer."""

    async def agenerate(
        self, grounding: Grounding, call: Call, on_delta: DeltaSink | None = None
    ) -> Generation:
        """Return the whole answer. `on_delta` takes each piece of it in order as it arrives."""
        ...
