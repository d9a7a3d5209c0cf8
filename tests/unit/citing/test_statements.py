"""The statements of an answer, and the passages that each cites."""

import pytest

from agents.citing.marks import read_marks
from agents.citing.statements import statements_of

SOURCES = ["", "", "", ""]


def found(text: str) -> list[tuple[str, tuple[int, ...]]]:
    checked, marks = read_marks(text, SOURCES)
    return [(statement.said, statement.numbers) for statement in statements_of(checked, marks)]


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        (
            "Blue [1]. Grass is green.[2] And so.",
            [("Blue", (1,)), ("Grass is green.", (2,)), ("And so.", ())],
        ),
        ("Water is wet. [1] Something else.", [("Water is wet.", (1,)), ("Something else.", ())]),
        ("天空是蓝色的【2】。没有【3】。", [("天空是蓝色的", (2,)), ("没有", (3,))]),
        ("- A [1]\n- B [2], C [3]", [("- A", (1,)), ("- B", (2,)), (", C", (3,))]),
        ("One.\n\n[4] Two. Three.", [("One.", ()), ("Two.", (4,)), ("Three.", ())]),
        ("Blue [1], [2].", [("Blue", (1, 2))]),
        ("The sky is blue [1] and water wet [2].", [("The sky is blue", (1,)), ("and water wet", (2,))]),
        ("So:\n```\nx. y\nz\n```\nthus [2].", [("So:", ()), ("```\nx. y\nz\n```", ()), ("thus", (2,))]),
        ("[1]", [("", (1,))]),
        ("Blue.\n[1]", [("Blue.", (1,))]),
        ("", []),
    ],
)
def test_marks_belong_to_the_words_before_them(
    text: str, statements: list[tuple[str, tuple[int, ...]]]
) -> None:
    assert found(text) == statements


def test_a_statement_knows_its_sentence_and_its_place() -> None:
    text = "Grass. The sky is blue [1] and water wet [2]. So."
    checked, marks = read_marks(text, SOURCES)
    first, second, third, last = statements_of(checked, marks)
    assert second.sentence == third.sentence == "The sky is blue and water wet ."
    assert text[second.start : second.end] == "The sky is blue [1]"
    assert text[third.start : third.end] == " and water wet [2]."
    assert text[first.start : first.end] == "Grass."
    assert text[last.start : last.end] == "So."
