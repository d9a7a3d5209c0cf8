"""Judges each answer, its citations and what retrieval found; sums them up by kind and language. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agents.components import Passage
from agents.models.extractive import do_not_know
from schemas.answer import Answer
from tests.quality.questions import Asking, holds, is_right

Result = Literal["right", "wrong", "abstained"]

RECALLED = (1, 5)

LONG = 400
"""Characters that an extractive answer may have; a longer one, such as a whole table, picks out nothing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer, judged.

    Attributes:
        result: `wrong` is an answer that claims something else, or everything; where the documents do not
            answer, it is `right` to abstain.
        cited: all evidence is in quotes from the right documents; None: nothing had to be cited.
        recalled: for each of `RECALLED`, whether so many passages hold all evidence; None: there is none.
        verdict: the answer's own, empty where it has none.
    """

    asking: Asking
    answer: Answer
    passages: Sequence[Passage]
    result: Result
    abstained: bool
    cited: bool | None
    recalled: Mapping[int, bool] | None
    verdict: str


def judge(asking: Asking, answer: Answer, passages: Sequence[Passage]) -> Outcome:
    grounding = getattr(answer, "grounding", None)
    abstained = abstains(asking, answer)
    result: Result = "wrong"
    if abstained:
        result = "abstained" if asking.answerable else "right"
    elif asking.answerable and is_right(asking, answer.text) and len(answer.text) <= LONG:
        result = "right"
    quotes = [(citation.document_id, citation.quote) for citation in answer.citations]
    texts = [(passage.document_id, passage.text) for passage in passages]
    return Outcome(
        asking,
        answer,
        passages,
        result,
        abstained,
        cited=_has(asking, quotes) if asking.evidence and not abstained else None,
        recalled={most: _has(asking, texts[:most]) for most in RECALLED} if asking.evidence else None,
        verdict=grounding.verdict if grounding is not None else "",
    )


def abstains(asking: Asking, answer: Answer) -> bool:
    """Whether an answer claims nothing: it cites nothing, and says at most that it does not know."""
    text = answer.text.strip()
    return not answer.citations and (not text or text.startswith(do_not_know(asking.text)))


def _has(asking: Asking, texts: Sequence[tuple[str, str]]) -> bool:
    """Whether every piece of evidence is in a text of its document; `#` and a line may follow the name."""
    return all(
        any(
            document.partition("#")[0] == snippet.document and holds(text, snippet.text)
            for document, text in texts
        )
        for snippet in asking.evidence
    )


def documents_recalled(
    askings: Sequence[Asking], found: Sequence[Sequence[str]], kind: str | None = None
) -> dict[str, float | None]:
    """The share of questions whose documents are all among the first found, for each of `RECALLED`.

    Unlike `Outcome.recalled` it fits a search by others, who cut documents otherwise; `kind` narrows it down.
    """
    asked = [
        ({snippet.document for snippet in asking.evidence}, [name.partition("#")[0] for name in names])
        for asking, names in zip(askings, found, strict=True)
        if asking.evidence and kind in {None, asking.kind}
    ]
    return {f"@{most}": _share(wanted.issubset(names[:most]) for wanted, names in asked) for most in RECALLED}


def summary(outcomes: Sequence[Outcome]) -> dict[str, float | int | None]:
    """The figures of some outcomes; a share is of those that it applies to, None if there are none."""
    cited = [outcome.cited for outcome in outcomes if outcome.cited is not None]
    recalled = [outcome.recalled for outcome in outcomes if outcome.recalled is not None]
    unanswerable = [outcome for outcome in outcomes if not outcome.asking.answerable]
    abstained = [outcome for outcome in outcomes if outcome.abstained]
    rightly = [outcome for outcome in abstained if not outcome.asking.answerable]
    count = len(outcomes)
    return {
        "questions": count,
        "right": _share(outcome.result == "right" for outcome in outcomes),
        "wrong": _share(outcome.result == "wrong" for outcome in outcomes),
        "abstained": _share(outcome.result == "abstained" for outcome in outcomes),
        "citations right": _share(cited),
        **{f"recall@{most}": _share(each[most] for each in recalled) for most in RECALLED},
        "abstention precision": round(len(rightly) / len(abstained), 3) if abstained else None,
        "abstention recall": round(len(rightly) / len(unanswerable), 3) if unanswerable else None,
    }


def by(
    outcomes: Sequence[Outcome], group: Callable[[Outcome], str]
) -> dict[str, dict[str, float | int | None]]:
    """The figures of each group, in the order in which the groups first come."""
    groups = dict.fromkeys(map(group, outcomes))
    return {name: summary([each for each in outcomes if group(each) == name]) for name in groups}


def _share(flags: Iterable[bool]) -> float | None:
    values = list(flags)
    return round(sum(values) / len(values), 3) if values else None
