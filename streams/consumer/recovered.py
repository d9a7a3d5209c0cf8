"""A partition's recovery as far as it has come: the outcomes that its answers show. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from aiokafka import ConsumerRecord

from streams.consumer.claims import Claim, holds, read_outcomes
from streams.consumer.repeats import Entry


@dataclass(slots=True)
class Recovered:
    """Where work on a partition begins.

    Attributes:
        start: the offset to read from: the commit point, or the beginning where there is none.
        committed: the offset that the group had committed; None for nothing, or one that is not in the log.
        completed: the offsets from `start` on that have their outcome.
        doubtful: claims on these offsets that are no outcomes until their questions were looked at; None
            where a map of ours vouches for them.
        scan_from: every answer to them that no map names is at this position of `answers` or above.
        repeats_from: results from this position of `answers` on are kept for repeats; None: none are.
        results: they, in the order of `answers`.
        failed: the offsets of questions that failed, of which answers from there on tell.
        since_ms: the time of the oldest result that is kept, in unix milliseconds.
        asked_ms: no question that may lack its outcome is older, by a broker's or a worker's clock.
        stood_still_s: how long ago its oldest question came that has no outcome as far as commits say.
        position: the end of `answers` as far as it was read.
        scanned: how many records of `answers` from `scan_from` on were read.
        reported: the hook was told that the committed offset is not in the log.
    """

    number: int
    start: int
    committed: int | None
    completed: set[int] = field(default_factory=set)
    doubtful: dict[int, list[Claim]] | None = None
    scan_from: int | None = None
    repeats_from: int | None = None
    results: list[Entry] = field(default_factory=list)
    failed: set[int] = field(default_factory=set)
    since_ms: int = 0
    asked_ms: int = 0
    stood_still_s: float = 0.0
    position: int = 0
    scanned: int = 0
    seconds: float = 0.0
    reported: bool = False


def take_in(found: Recovered, topic: str, records: Collection[ConsumerRecord]) -> None:
    """Take in records of `answers`; those of other writers are passed over."""
    scan_from, repeats_from = found.scan_from or 0, found.repeats_from
    found.scanned += sum(1 for record in records if record.offset >= scan_from)
    for told in read_outcomes(records, topic, found.number):
        position, claim = told.record.offset, told.claim
        if repeats_from is not None and position >= repeats_from:
            if told.failed:
                found.failed.add(claim.offset)
            if (result := told.result) is not None:
                found.results.append(result)
        if claim.offset < found.start or position < scan_from:
            continue
        if found.doubtful is None:
            found.completed.add(claim.offset)
        else:
            found.doubtful.setdefault(claim.offset, []).append(claim)


def confirm(found: Recovered, questions: Iterable[ConsumerRecord]) -> None:
    """Mark the questions of which a doubtful claim holds as completed."""
    for question in questions:
        if any(holds(claim, question) for claim in (found.doubtful or {}).get(question.offset, ())):
            found.completed.add(question.offset)
