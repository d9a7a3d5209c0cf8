"""The order in which a model in the process gets its texts: questions before documents. Pure."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Vector = TypeVar("Vector")

CHARACTERS_AT_ONCE = 1_600
"""Texts that are computed together: two paragraphs, 20-30 ms, for which a question may have to wait."""

CHARACTERS_AT_LEAST = 16
"""Each text counts for so many: a word costs as much as a short line."""


@dataclass(eq=False)
class Job(Generic[Vector]):
    """Texts that somebody waits for; `given_up` once nobody does.

    Attributes:
        search: whether these are questions, not passages.
        urgent: whether a question waits for them.
        vectors: one for each text, as far as they have been computed.
    """

    texts: Sequence[str]
    search: bool
    urgent: bool
    given_up: bool = False
    vectors: list[Vector] = field(default_factory=list)
    begun: int = 0

    @property
    def complete(self) -> bool:
        """Whether every text has its vector."""
        return len(self.vectors) == len(self.texts)


@dataclass(frozen=True)
class TextBatch(Generic[Vector]):
    """Texts to compute together, all questions or all passages, with the job of each."""

    texts: Sequence[str]
    jobs: Sequence[Job[Vector]]
    search: bool

    def deliver(self, vectors: Sequence[Vector]) -> Iterator[Job[Vector]]:
        """Hand out the vectors, and yield the jobs that are complete now."""
        for job, vector in zip(self.jobs, vectors, strict=True):
            job.vectors.append(vector)
            if job.complete:
                yield job


class Turns(Generic[Vector]):
    """Jobs in two lines; in each, the first one first."""

    def __init__(self) -> None:
        self._urgent: deque[Job[Vector]] = deque()
        self._patient: deque[Job[Vector]] = deque()

    def __repr__(self) -> str:
        return f"<Turns {len(self._urgent)} urgent, {len(self._patient)} patient>"

    @property
    def waiting(self) -> int:
        """The number of texts of documents that have not begun."""
        return sum(len(job.texts) - job.begun for job in self._patient)

    def add(self, job: Job[Vector]) -> None:
        """Put a job with at least one text at the end of its line."""
        (self._urgent if job.urgent else self._patient).append(job)

    def take(self) -> TextBatch[Vector] | None:
        """Return the next texts to compute; None: there are none."""
        for line in (self._urgent, self._patient):
            batch = _take(line)
            if batch is not None:
                return batch
        return None


def _take(line: deque[Job[Vector]]) -> TextBatch[Vector] | None:
    texts: list[str] = []
    jobs: list[Job[Vector]] = []
    size = 0
    while line:
        job = line[0]
        if job.given_up:
            line.popleft()
            continue
        text = job.texts[job.begun]
        cost = max(len(text), CHARACTERS_AT_LEAST)
        if jobs and (job.search != jobs[0].search or size + cost > CHARACTERS_AT_ONCE):
            break
        texts.append(text)
        jobs.append(job)
        size += cost
        job.begun += 1
        if job.begun == len(job.texts):
            line.popleft()
    return TextBatch(texts, jobs, jobs[0].search) if jobs else None
