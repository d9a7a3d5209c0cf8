"""Answers are judged by text, citations and passages."""

from datetime import UTC, datetime

from agents.components import Passage
from agents.models.extractive import do_not_know
from schemas.answer import Answer, Citation, Source
from tests.quality.questions import Asking, Snippet
from tests.quality.report import Run, figures, markdown, shown
from tests.quality.scoring import Outcome, by, documents_recalled, judge, summary

ASKING = Asking(
    id="number-1",
    split="dev",
    language="en",
    text="How many days?",
    right=["27 days"],
    wrong=["35 days"],
    evidence=[Snippet("leave.md", "27 days of leave")],
)
NOWHERE = Asking(id="unanswerable-1", split="holdout", language="en", text="Who?")
NOT_KNOWN = do_not_know("Who?")


def answer(text: str, *quotes: tuple[str, str]) -> Answer:
    citations = tuple(
        Citation(index=n, document_id=name, chunk_id=f"{name}#0", title="", source="", quote=quote, score=1.0)
        for n, (name, quote) in enumerate(quotes, 1)
    )
    return Answer(
        id="a",
        question_id="q",
        conversation_id="q",
        tenant="default",
        status="answered",
        source=Source("questions", 0, 0),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        text=text,
        citations=citations,
    )


def passages(*texts: tuple[str, str]) -> list[Passage]:
    return [
        Passage(chunk_id=f"{name}#0", document_id=name, title="", source="", text=text, score=1.0)
        for name, text in texts
    ]


def outcome(given: Answer, asking: Asking = ASKING) -> Outcome:
    return judge(
        asking, given, passages(("other.md", "nothing"), ("leave.md", "There are 27 days of leave."))
    )


def test_an_answer_is_right_wrong_or_abstained() -> None:
    assert outcome(answer("27 days [1]", ("leave.md", "27 days of leave"))).result == "right"
    assert outcome(answer("35 days [1]", ("leave.md", "35 days"))).result == "wrong"
    assert outcome(answer("27 days, or 35 days")).result == "wrong"
    assert outcome(answer(NOT_KNOWN)).result == "abstained"


def test_a_whole_table_is_no_answer() -> None:
    assert outcome(answer("27 days" + " | 1" * 200)).result == "wrong"


def test_a_claim_without_a_citation_is_no_abstention() -> None:
    assert outcome(answer("It is 12 days.")).result == "wrong"
    assert outcome(answer(NOT_KNOWN, ("leave.md", "x"))).result == "wrong"


def test_to_abstain_is_right_where_nothing_answers() -> None:
    assert outcome(answer(NOT_KNOWN), NOWHERE).result == "right"
    assert outcome(answer("Ann. [1]", ("leave.md", "Ann")), NOWHERE).result == "wrong"


def test_a_citation_is_right_if_its_quote_holds_the_evidence_of_that_document() -> None:
    assert outcome(answer("27 days [1]", ("leave.md", "the 27 days of leave."))).cited
    assert outcome(answer("27 days [1]", ("leave.md", "the leave"))).cited is False
    assert outcome(answer("27 days [1]", ("other.md", "27 days of leave"))).cited is False
    assert outcome(answer(NOT_KNOWN)).cited is None


def test_recall_looks_at_the_passages_in_their_order() -> None:
    assert outcome(answer("")).recalled == {1: False, 5: True}
    assert outcome(answer(""), NOWHERE).recalled is None


def test_a_document_of_several_in_a_file_is_known_by_its_file() -> None:
    found = judge(ASKING, answer(""), passages(("leave.md#3", "27 days of leave")))
    assert found.recalled == {1: True, 5: True}


def test_shares_are_of_the_questions_that_they_apply_to() -> None:
    outcomes = [
        outcome(answer("27 days [1]", ("leave.md", "27 days of leave"))),
        outcome(answer("35 days [1]", ("leave.md", "35 days"))),
        outcome(answer(NOT_KNOWN)),
        outcome(answer(NOT_KNOWN), NOWHERE),
    ]
    told = summary(outcomes)
    assert (told["right"], told["wrong"], told["abstained"]) == (0.5, 0.25, 0.25)
    assert told["citations right"] == 0.5
    assert (told["recall@1"], told["recall@5"]) == (0.0, 1.0)
    assert (told["abstention precision"], told["abstention recall"]) == (0.5, 1.0)
    assert by(outcomes, lambda each: each.asking.kind)["unanswerable"]["right"] == 1.0
    assert summary(outcomes[:1])["abstention precision"] is None


def test_the_report_names_kinds_unread_files_and_answers() -> None:
    run = Run("none", 2, 1, ["a.docx: is not of a readable kind"], 0.1, [outcome(answer("35 days [1]"))])
    assert "| number | 1 | 0% | 100% | 0% |" in markdown(run)
    assert "Not read: a.docx" in markdown(run)
    assert "WRONG number-1" in shown(run, "bad")
    assert shown(run, "abstained") == ""
    assert figures(run)["answers"][0]["result"] == "wrong"


def test_a_search_by_others_is_judged_by_its_documents() -> None:
    found = [["other.md", "leave.md#2"], ["leave.md"]]
    assert documents_recalled([ASKING, NOWHERE], found) == {"@1": 0.0, "@5": 1.0}
    assert documents_recalled([ASKING], [["leave.md"]], "twin") == {"@1": None, "@5": None}


def test_peers_stand_beside_us_in_the_report() -> None:
    run = Run("none", 1, 1, [], 0.1, [outcome(answer("27 days"))], {"Haystack BM25": [["leave.md"]]})
    told = markdown(run)
    assert "| Kotae | 0%, 100% |" in told
    assert "| Haystack BM25 | 100%, 100% |" in told


def test_long_answers_are_counted() -> None:
    assert "Answers of more than 400 characters: 1." in markdown(
        Run("none", 1, 1, [], 0, [outcome(answer("x" * 401))])
    )
