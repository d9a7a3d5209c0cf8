"""Tells of a run in Markdown, of its answers one by one, and in JSON. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.quality.scoring import LONG, Outcome, by, documents_recalled, summary


@dataclass(frozen=True, slots=True)
class Run:
    """All outcomes with one kind of embeddings.

    Attributes:
        files: how many there are.
        documents: how many were read from them.
        unread: each file that could not be read, with the reason.
        peers: the documents that others found for each question, by the way that they searched.
    """

    embeddings: str
    files: int
    documents: int
    unread: Sequence[str]
    indexed_s: float
    outcomes: Sequence[Outcome]
    peers: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)


COMPARED = (None, "plain", "paraphrase", "cross-lingual", "twin", "office")
"""The kinds that are compared with a search by others; None: all."""


def markdown(run: Run) -> str:
    """The table: a row a kind, a row a language, and all."""
    return "\n".join(_lines(run))


def _lines(run: Run) -> Iterator[str]:
    yield f"\n## Embeddings: {run.embeddings}\n"
    yield f"{run.documents} documents of {run.files} files, indexed in {run.indexed_s:.1f} s."
    yield from (f"Not read: {problem}" for problem in run.unread)
    total = summary(run.outcomes)
    yield f"\n| | {' | '.join(total)} |"
    yield "|---|" + "---:|" * len(total)
    yield from _rows(run.outcomes, lambda outcome: outcome.asking.kind)
    yield from _rows(run.outcomes, lambda outcome: f"in {outcome.asking.language}")
    yield from _rows(run.outcomes, lambda outcome: f"split {outcome.asking.split}")
    yield _row("**all**", total)
    long = sum(len(outcome.answer.text) > LONG for outcome in run.outcomes)
    yield f"\nAnswers of more than {LONG} characters: {long}."
    yield from _compared(run)
    verdicts = by(run.outcomes, lambda outcome: outcome.verdict)
    if set(verdicts) != {""}:
        yield "\nBy the verdict that the answer gives of itself:\n"
        yield f"| | {' | '.join(total)} |"
        yield "|---|" + "---:|" * len(total)
        yield from (_row(name or "none", figures) for name, figures in verdicts.items())


def _compared(run: Run) -> Iterator[str]:
    """Whether the documents of the evidence are found, by us and by others."""
    if not run.peers:
        return
    askings = [outcome.asking for outcome in run.outcomes]
    ours = [[passage.document_id for passage in outcome.passages] for outcome in run.outcomes]
    yield f"\n| documents found @1, @5 | {' | '.join(kind or '**all**' for kind in COMPARED)} |"
    yield "|---|" + "---:|" * len(COMPARED)
    for way, found in {"Kotae": ours, **run.peers}.items():
        cells = [documents_recalled(askings, found, kind).values() for kind in COMPARED]
        told = (", ".join("" if share is None else f"{share:.0%}" for share in cell) for cell in cells)
        yield f"| {way} | {' | '.join(told)} |"


def _rows(outcomes: Sequence[Outcome], group: Callable[[Outcome], str]) -> Iterator[str]:
    return (_row(name, figures) for name, figures in by(outcomes, group).items())


def _row(name: str, figures: dict[str, Any]) -> str:
    cells = (
        "" if value is None else f"{value:.0%}" if isinstance(value, float) else str(value)
        for value in figures.values()
    )
    return f"| {name} | {' | '.join(cells)} |"


def shown(run: Run, which: str) -> str:
    """The answers of one result (`bad`: all that are not right), each with all that explains it."""
    chosen = [
        outcome
        for outcome in run.outcomes
        if which in {"all", outcome.result} or (which == "bad" and outcome.result != "right")
    ]
    return "\n".join(line for outcome in chosen for line in _told(outcome))


def _told(outcome: Outcome) -> Iterator[str]:
    asking, answer = outcome.asking, outcome.answer
    yield f"\n{outcome.result.upper()} {asking.id} ({asking.split}, {asking.language}) {outcome.verdict}"
    yield from (f"  {turn.role}: {turn.content}" for turn in asking.history)
    yield f"  question: {asking.text}"
    yield f"  answer:   {answer.text!r}"
    yield f"  right:    {' + '.join(asking.right) or 'to abstain'}"
    if asking.wrong:
        yield f"  wrong:    {' | '.join(asking.wrong)}"
    yield from (f"  evidence: {each.document}: {each.text}" for each in asking.evidence)
    if outcome.recalled:
        found = ", ".join(f"@{most} {'yes' if had else 'no'}" for most, had in outcome.recalled.items())
        yield f"  recalled: {found}; found {[passage.chunk_id for passage in outcome.passages]}"
    yield from (f"  cites:    {each.document_id}: {each.quote!r}" for each in answer.citations)
    if answer.status != "answered":
        yield f"  status:   {answer.status} {answer.degraded} {answer.error}"


def figures(run: Run) -> dict[str, Any]:
    """The run as JSON: its figures, and each answer."""
    return {
        "embeddings": run.embeddings,
        "documents": run.documents,
        "unread": list(run.unread),
        "all": summary(run.outcomes),
        "kinds": by(run.outcomes, lambda outcome: outcome.asking.kind),
        "languages": by(run.outcomes, lambda outcome: outcome.asking.language),
        "splits": by(run.outcomes, lambda outcome: outcome.asking.split),
        "answers": [
            {
                "id": outcome.asking.id,
                "result": outcome.result,
                "cited": outcome.cited,
                "recalled@5": outcome.recalled[5] if outcome.recalled else None,
                "text": outcome.answer.text,
                "verdict": outcome.verdict,
            }
            for outcome in run.outcomes
        ],
    }
