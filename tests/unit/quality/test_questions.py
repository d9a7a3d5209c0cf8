"""The set is whole, and its judgement of an answer is strict where it must be."""

import re
from collections import Counter

import pytest

from tests.quality.making import SOURCES, document_names
from tests.quality.questions import Asking, holds, is_right, read_questions, says_wrong

ASKINGS = read_questions()
TAGS = re.compile(r"<[^>]*>")


def asking(right: list[str], wrong: list[str] | None = None) -> Asking:
    return Asking(id="kind-1", split="dev", language="en", text="?", right=right, wrong=wrong or [])


def source_of(document: str) -> str:
    path = SOURCES / document
    path = path if path.exists() else path.with_name(f"{path.name}.toml")
    text = path.read_text("utf-8")
    return TAGS.sub(" ", text) if path.suffix == ".html" else text


def test_every_evidence_is_in_its_document() -> None:
    lost = [
        f"{each.id}: {snippet.text!r} in {snippet.document}"
        for each in ASKINGS
        for snippet in each.evidence
        if snippet.document not in document_names() or not holds(source_of(snippet.document), snippet.text)
    ]
    assert not lost


def test_no_question_comes_twice() -> None:
    assert [name for name, count in Counter(each.id for each in ASKINGS).items() if count > 1] == []
    texts = Counter((each.text, *(turn.content for turn in each.history)) for each in ASKINGS)
    assert [text for text, count in texts.items() if count > 1] == []


def test_a_question_has_evidence_if_it_has_an_answer() -> None:
    assert [each.id for each in ASKINGS if bool(each.right) != bool(each.evidence)] == []


def test_kinds_and_languages_are_in_both_splits() -> None:
    splits = Counter((each.kind, each.split) for each in ASKINGS)
    kinds = {kind for kind, _ in splits}
    assert len(ASKINGS) >= 120
    assert len(kinds) == 16
    assert all(splits[kind, "dev"] >= 3 and splits[kind, "holdout"] >= 3 for kind in kinds)
    assert sum(not each.answerable for each in ASKINGS) >= 10
    assert {each.language for each in ASKINGS} == {"en", "de", "zh", "ja", "fr", "es"}


@pytest.mark.parametrize(
    ("right", "text", "expected"),
    [
        (["27"], "Full-time employees receive 27 days. [1]", True),
        (["27"], "There are 127 of them.", False),
        (["27"], "It takes 27.5 hours.", False),
        (["27"], "It is 3.27 m.", False),
        (["27"], "It takes 27.", True),
        (["27"], "**27** days", True),
        (["14,300"], "14300 trees", True),
        (["14,300"], "14 300 trees", True),
        (["14.300 Bäume"], "14\u00a0300 Bäume", True),
        (["46"], "46 210 June", True),
        (["590"], "590,00 €", True),
        (["20,00"], "20 €", True),
        (["10:00"], "at 10", False),
        (["9,90"], "9,90 €", True),
        (["9,90"], "24,90 €", False),
        (["6 €|6€"], "Es kostet 6€.", True),
        (["six weeks", "two months"], "six weeks", False),
        (["six weeks", "two months"], "two months, and Six  weeks", True),
        (["10–14"], "10-14 h", True),
        (["25分钟"], "可支撑２５分钟。[1]", True),
        (["re:\\b1[.,]5 ?kg"], "about 1,5 kg", True),
        (["reports.write"], "the scope `reports.write`", True),
        (["hello_world"], "call `hello_world` now", True),
    ],
)
def test_the_accepted_text_is_found_as_a_whole(right: list[str], text: str, expected: bool) -> None:
    assert is_right(asking(right), text) is expected


def test_the_value_of_the_twin_spoils_an_answer() -> None:
    twin = asking(["8 months"], ["12 months"])
    assert is_right(twin, "Every 8 months. [1]")
    assert not is_right(twin, "Every 8 months. [1] Every 12 months. [2]")
    assert says_wrong(twin, "Every 12 months.")


def test_evidence_is_found_through_the_marks_of_a_table() -> None:
    assert holds("| Team | **€89** | 25 |", "Team €89 25")
    assert holds("the elec-\ntrolyte leaked", "electrolyte leaked")
    assert not holds("| Team | €98 |", "Team €89")
