"""Answers that rest on several units: parts, bridges, comparisons; or none, where half would look whole."""

import pytest

from agents.components import Passage
from tests.support.extracting import extract_answer


def passages(*texts: tuple[str, str]) -> list[Passage]:
    return [Passage(f"c{n}", f"d{n}", title, "", text, 1.0) for n, (title, text) in enumerate(texts)]


BOATS = (
    "Boat hire",
    "# Boat hire\nAll boats are insured.\n\n"
    "| Boat | Seats | Price per day | Harbour | Next check |\n|---|---|---|---|---|\n"
    "| Otter Plus | 6 | €85 | Bregenz | May 2027 |\n"
    "| Otter | 4 | €60 | Lindau | March 2027 |\n"
    "| Heron | 8 | €120 | Lindau | June 2027 |\n\n"
    "A sail is included with the Heron. The deposit is paid back within three days.",
)
GYM = (
    "Gym plans",
    "| | Basic | Gold Plus | Gold |\n|---|---|---|---|\n| Storage | 5 GB | 50 GB | 20 GB |\n"
    "| Fee per month | €10 | €31 | €25 |\n\nThe sauna is part of the Gold plan.",
)
BINS = (
    "Müllgebühren",
    "| Tonne | Liter | Gebühr im Jahr |\n|---|---|---|\n| Restmüll | 80 | 140 € |\n| Papier | 120 | 20 € |\n"
    "| Bio | 60 | 75 € |",
)
CLUB = (
    "会员",
    "| 会员 | 月费 | 设备数 |\n|---|---|---|\n| 标准版 | 20元 | 2 |\n| 专业版 | 45元 | 5 |\n\n"
    "离线下载只包含在专业版中。",
)
CARDS = (
    "Prêts",
    "| Carte | Livres | Durée du prêt |\n|---|---|---|\n"
    "| Enfant | 5 | 3 semaines |\n| Adulte | 10 | 4 semaines |",
)
NORWAY = ("Sick pay in Norway", "Sick pay is paid for 52 weeks.")
DENMARK = ("Sick pay in Denmark", "Sick pay is paid for 22 weeks.")
PARTY = ("Field notes", "# Field notes\nThe summer party takes place in the Alder hall.")
HALLS = (
    "Halls",
    "| Hall | Area | Caretaker |\n|---|---|---|\n"
    "| Birch | 95 m² | Paul Okafor |\n| Alder | 210 m² | Ines Roth |",
)
ONE = ("Brewer M1", "# Brewer M1\nIt weighs 3.1 kg.\n## Noise\nWhile brewing it makes 48 dB.")
TWO = ("Brewer M2", "# Brewer M2\nIt weighs 4.4 kg.\n## Noise\nWhile brewing it makes 42 dB.")


@pytest.mark.parametrize(
    ("question", "text", "told"),
    [
        (
            "What does the Otter cost per day, and where is its harbour?",
            BOATS,
            "Otter: Price per day €60, Harbour Lindau [1]",
        ),
        (
            "How many seats do the Otter and the Heron have?",
            BOATS,
            "Otter, Seats: 4 [1] Heron, Seats: 8 [1]",
        ),
        (
            "How quickly is the deposit paid back, and how many seats has the Heron?",
            BOATS,
            "Heron, Seats: 8 [1] The deposit is paid back within three days. [1]",
        ),
        (
            "Was kosten Papier und Bio im Jahr?",
            BINS,
            "Papier, Gebühr im Jahr: 20 € [1] Bio, Gebühr im Jahr: 75 € [1]",
        ),
        ("标准版和专业版的月费分别是多少？", CLUB, "标准版, 月费: 20元[1] 专业版, 月费: 45元[1]"),
        ("专业版的月费是多少，可以用几台设备？", CLUB, "专业版: 月费 45元, 设备数 5 [1]"),
        (
            "Combien de livres peut-on emprunter avec la carte Enfant et quelle est la durée du prêt ?",
            CARDS,
            "Enfant: Livres 5, Durée du prêt 3 semaines [1]",
        ),
    ],
)
def test_each_part_is_told(question: str, text: tuple[str, str], told: str) -> None:
    assert extract_answer(question, passages(text)) == told


def test_parts_are_told_from_their_documents() -> None:
    answer = extract_answer("How long is sick pay paid in Norway and in Denmark?", passages(DENMARK, NORWAY))
    assert "52 weeks. [2]" in answer
    assert "22 weeks. [1]" in answer


@pytest.mark.parametrize(
    "question",
    [
        "When is the next check of the Heron, and what colour is it?",
        "How many seats do the Heron and the Pelican have?",
        "How long is sick pay paid in Norway and in Sweden?",
    ],
)
def test_half_an_answer_is_none(question: str) -> None:
    assert extract_answer(question, passages(BOATS, NORWAY, DENMARK)) == ""


@pytest.mark.parametrize(
    ("question", "texts", "told"),
    [
        (
            "What does the boat with a sail cost?",
            [BOATS],
            "Heron, Price per day: €120 [1] A sail is included with the Heron. [1]",
        ),
        (
            "What is the fee of the plan that includes the sauna?",
            [GYM],
            "Fee per month, Gold: €25 [1] The sauna is part of the Gold plan. [1]",
        ),
        (
            "Who is the caretaker of the hall where the summer party takes place?",
            [PARTY, HALLS],
            "The summer party takes place in the Alder hall. [1] Alder, Caretaker: Ines Roth [2]",
        ),
        ("包含离线下载的会员月费是多少？", [CLUB], "专业版, 月费: 45元[1] 离线下载只包含在专业版中。[1]"),
    ],
)
def test_a_second_unit_tells_what_is_asked_of_what_the_first_names(
    question: str, texts: list[tuple[str, str]], told: str
) -> None:
    assert extract_answer(question, passages(*texts)) == told


@pytest.mark.parametrize(
    "question",
    [
        "What does the plan that includes the pool cost?",
        "Who is the caretaker of the hall where the winter sale is held?",
    ],
)
def test_without_a_bridge_the_first_unit_does_not_answer(question: str) -> None:
    assert extract_answer(question, passages(PARTY, HALLS, GYM)) == ""


@pytest.mark.parametrize(
    "question",
    [
        "Which of the two brewers is quieter, and what are the two values?",
        "Which brewer is louder?",
        "Welcher der beiden Brewer ist leiser?",
    ],
)
def test_of_two_the_same_property_of_both_is_told(question: str) -> None:
    answer = extract_answer(question, passages(ONE, TWO))
    assert "48 dB. [1]" in answer
    assert "42 dB. [2]" in answer


FERRY = ("Ferries", "# Ferries\nThe ferry that has a wheelchair ramp leaves from the north pier.")


@pytest.mark.parametrize(
    "question", ["What does the ferry that has a wheelchair ramp cost?", "Was kostet die Fähre mit Rampe?"]
)
def test_what_names_the_thing_does_not_answer(question: str) -> None:
    assert extract_answer(question, passages(FERRY)) == ""


def test_a_letter_after_a_name_tells_siblings_apart() -> None:
    text = "Eine Karte für die Zone B kostet 31 Euro im Monat."
    assert "31 Euro" in extract_answer(
        "Was kostet die Karte für Zone B im Monat?", passages(("Karten", text))
    )
    assert extract_answer("Was kostet die Karte für Zone A im Monat?", passages(("Karten", text))) == ""


def test_one_of_two_alone_answers_no_comparison() -> None:
    quiet = (TWO[0], "# Brewer M2\nIt weighs 4.4 kg.")
    for question in (
        "Which of the two brewers is quieter?",
        "Which of the two makes less noise while brewing?",
    ):
        assert extract_answer(question, passages(ONE, quiet)) == ""


@pytest.mark.parametrize(
    ("question", "text", "told"),
    [
        ("Which boat is the cheapest?", BOATS, "Otter, Price per day: €60 [1]"),
        (
            "Which boat has the most seats, and what does it cost?",
            BOATS,
            "Heron: Seats 8, Price per day €120 [1]",
        ),
        ("Which plan is the cheapest?", GYM, "Fee per month, Basic: €10 [1]"),
        ("Welche Tonne ist die teuerste?", BINS, "Restmüll, Gebühr im Jahr: 140 € [1]"),
    ],
)
def test_the_row_with_the_most_or_least_is_picked(question: str, text: tuple[str, str], told: str) -> None:
    assert extract_answer(question, passages(text)) == told


MIXED = (
    "Rooms",
    "| Room | Price |\n|---|---|\n| Attic | €40 |\n| Cellar | €900 a year |\n| Loft | €70 |",
)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Which boat is the fastest?", BOATS),
        ("Which room is the cheapest?", MIXED),
        ("Which red boat is the cheapest?", BOATS),
    ],
)
def test_nothing_is_picked_where_column_or_numbers_are_uncertain(
    question: str, text: tuple[str, str]
) -> None:
    assert extract_answer(question, passages(text)) == ""


def test_a_table_that_may_go_on_has_no_most() -> None:
    rows = "\n".join(f"| Boat {n} | €{n + 50} |" for n in range(60))
    text = f"| Boat | Price |\n|---|---|\n{rows}"
    assert extract_answer("Which boat is the cheapest?", passages(("Boats", text))) == ""
    assert extract_answer("Which boat is the cheapest?", passages(("Boats", f"{text}\n\nThe end."))) != ""


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("How much storage does Gold have?", "Storage, Gold: 20 GB [1]"),
        ("How much storage does Gold Plus have?", "Storage, Gold Plus: 50 GB [1]"),
    ],
)
def test_a_cell_between_a_property_and_a_thing_is_told(question: str, told: str) -> None:
    assert extract_answer(question, passages(GYM)) == told
