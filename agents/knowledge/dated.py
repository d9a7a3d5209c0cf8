"""Tells which state of the knowledge passages were found in."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from agents.components import Call, Passage, Retriever
from agents.errors import DependencyError
from agents.knowledge.version import KnowledgeVersions, Position, Version
from schemas.answer import AnswerKnowledge
from schemas.question import Question

_State = tuple[Version | None, Position | None]


class DatedRetriever:
    """A `Retriever` in front of another, which tells the question's trail what the passages were found in.

    The index takes a document in steps, so that a search may find it half changed. The state is exact if the
    tenant had the same version before and after the search. If the version has changed meanwhile, the search
    is made once more; where that does not help, the position is a lower bound, and the answer says so.

    Args:
        versions: the state of the index; its feed keeps it up to date.
        shared: other processes fill the index, too, so that the position is always a lower bound.
    """

    def __init__(self, inner: Retriever, versions: KnowledgeVersions, *, shared: bool) -> None:
        self._inner = inner
        self._versions = versions
        self._shared = shared

    @property
    def immediate(self) -> bool:
        """Whether a retrieval never waits (see `agents.graph.Stage`)."""
        return bool(getattr(self._inner, "immediate", False))

    async def aretrieve(self, question: Question, call: Call) -> Sequence[Passage]:
        """See `Retriever`."""
        clock = asyncio.get_running_loop().time
        started, before = clock(), self._state(question.tenant)
        found = await self._inner.aretrieve(question, call)
        exact = self._holds(question.tenant, before)
        took = clock() - started
        if not exact and self._may_settle(question.tenant) and clock() + 2 * took < call.deadline:
            again = self._state(question.tenant)
            try:
                found = await self._inner.aretrieve(question, call)
            except DependencyError:
                pass  # what was found is not worse for it
            else:
                before, exact = again, self._holds(question.tenant, again)
        position = before[1]
        if position is not None and call.trail is not None:
            at = datetime.fromtimestamp(position.timestamp / 1000, UTC)
            call.trail.found_in(AnswerKnowledge(position.offset, at, exact))
        return found

    def _state(self, tenant: str) -> _State:
        return self._versions.of(tenant), self._versions.position

    def _holds(self, tenant: str, before: _State) -> bool:
        """Whether a search that began in a state has seen it and nothing else."""
        return self._may_settle(tenant) and self._versions.of(tenant) == before[0]

    def _may_settle(self, tenant: str) -> bool:
        """Whether a search that begins now may see one state only."""
        versions = self._versions
        return not self._shared and versions.of(tenant) is not None and not versions.flawed(tenant)
