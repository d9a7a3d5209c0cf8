"""The look-up of evidence in some passages or in those of one document, and its statements."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from agents.components import Passage
from agents.documents.units import Unit, units_of
from agents.models.asking import Asked
from agents.models.columns import meant_row
from agents.models.evidence import PASSAGES_READ, Evidence

FindIn = Callable[[Asked, Sequence[Passage], int], Awaitable[list[Evidence]]]
"""The units of passages that fit a question best, at most so many."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A unit that an answer tells, with the questions that it answers and the columns it needs besides."""

    evidence: Evidence
    asked: tuple[Asked, ...]
    columns: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Lookup:
    """Looks evidence up in `passages`, with `afind_in`."""

    passages: Sequence[Passage]
    afind_in: FindIn

    async def afind(self, asked: Asked, limit: int, document: str | None = None) -> list[Evidence]:
        """Return the evidence for a question, best first; with `document` that of its passages alone."""
        if document is None:
            return self._meant(asked, await self.afind_in(asked, self.passages, limit))
        numbers = [
            number
            for number, passage in enumerate(self.passages[:PASSAGES_READ])
            if passage.document_id == document
        ]
        found = await self.afind_in(asked, [self.passages[number] for number in numbers], limit)
        return self._meant(asked, [replace(each, passage=numbers[each.passage]) for each in found])

    def _meant(self, asked: Asked, found: Sequence[Evidence]) -> list[Evidence]:
        return [
            replace(each, unit=meant_row(each.unit, self._units(each.passage), asked))
            if each.unit.kind == "row"
            else each
            for each in found
        ]

    def _units(self, number: int) -> tuple[Unit, ...]:
        passage = self.passages[number]
        return units_of(passage.text, passage.lead)

    def documents(self) -> list[str]:
        """Return the ids of the documents that are read, in the order of their best passages."""
        return list(dict.fromkeys(passage.document_id for passage in self.passages[:PASSAGES_READ]))

    def document_of(self, evidence: Evidence) -> str:
        """Return the id of a unit's document."""
        return self.passages[evidence.passage].document_id
