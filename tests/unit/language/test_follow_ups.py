"""Questions that lean on their history, in the forms in which people ask them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.language.follow_ups import leans, standing_alone
from schemas.question import Question, Turn


def asked(text: str, *said: str) -> Question:
    roles = ("user", "assistant")
    return Question(id="q", text=text, history=tuple(Turn(roles[n % 2], turn) for n, turn in enumerate(said)))


@pytest.mark.parametrize(
    ("question", "standing"),
    [
        (asked("And the K20?", "How much does the Lumo K10 weigh?"), "How much does the Lumo K20 weigh?"),
        (asked("What about in Norway?", "Is tipping usual in Japan?"), "Is tipping usual in Norway?"),
        (asked("And in 2023?", "How many people joined in 2021?"), "How many people joined in 2023?"),
        (asked("Und in Wien?", "Wann öffnet die Filiale in Graz?"), "Wann öffnet die Filiale in Wien?"),
        (asked("那B7呢？", "洗衣机B5的保修期多长？"), "洗衣机B7的保修期多长？"),
        (asked("And for children?", "What does a day ticket cost?", "9 euros."), "children"),
        (asked("Et pour les enfants ?", "Combien coûte un billet ?"), "enfants"),
    ],
)
def test_an_ellipsis_repeats_the_question_before_it_with_its_own_name(
    question: Question, standing: str
) -> None:
    assert leans(question)
    made = standing_alone(question)
    assert standing in made
    assert made.startswith(question.history[0].content[:3])


@pytest.mark.parametrize(
    ("question", "names"),
    [
        (asked("How heavy is it?", "How long may I keep the Lumo K10?", "30 days."), ["Lumo K10"]),
        (asked("Does it need oil?", "How do I clean the Lumo K10?"), ["Lumo K10"]),
        (asked("Who signs it?", "How do I request a parking permit?"), ["parking", "permit"]),
        (asked("What is his number?", "Who leads Sales?", "Piotr Nowak leads it."), ["Piotr Nowak"]),
        (asked("Is that one cheaper?", "Which tent sleeps 4 people?", "The Lumo K30 does."), ["Lumo K30"]),
        (asked("Wie schwer ist er?", "Wie lange gilt die Garantie des Lumo K10?"), ["Lumo K10"]),
        (asked("¿Cuánto cuesta?", "¿Dónde se fabrica la Lumo K10?"), ["Lumo K10"]),
        (asked("它多重？", "洗衣机B5的保修期多长？"), ["洗衣机B5"]),
        (asked("重さは？", "Lumo K10の保証期間は？"), ["Lumo K10"]),
    ],
)
def test_a_reference_is_given_the_names_that_were_spoken_of(question: Question, names: list[str]) -> None:
    assert leans(question)
    made = standing_alone(question)
    assert made.startswith(question.text)
    assert all(name in made for name in names)


def test_a_reference_does_not_ask_the_question_before_it_again() -> None:
    made = standing_alone(asked("How heavy is it?", "How long is the warranty of the Lumo K10?"))
    assert "warranty" not in made


def test_a_chain_of_follow_ups_leads_to_the_question_that_stands_alone() -> None:
    question = asked("And the K30?", "How much does the Lumo K10 weigh?", "2 kg.", "And the K20?", "3 kg.")
    assert standing_alone(question) == "How much does the Lumo K30 weigh?"


@pytest.mark.parametrize(
    "text",
    [
        "How many people work in the Oslo office?",
        "Is it true that returns take fourteen days?",
        "Which port does the dev server use?",
        "Wie lange dauert die Lieferung nach Österreich?",
        "Was kostet das Paket nach Wien?",
        "Y a-t-il un parking près de la gare ?",
        "¿En qué año se fundó la biblioteca?",
        "Quanto costa il biglietto giornaliero?",
        "图书馆几点关门？",
    ],
)
def test_a_question_that_stands_alone_is_left_as_it_is(text: str) -> None:
    question = asked(text, "How do I reset the Lumo K10?", "Hold the button.")
    assert not leans(question)
    assert standing_alone(question) == text


def test_a_question_without_an_earlier_one_is_left_as_it_is() -> None:
    greeted = Question(id="q", text="And that?", history=(Turn("assistant", "Hello, ask me."),))
    again = asked("And that?", "And that?")
    assert not leans(greeted)
    assert standing_alone(greeted) == "And that?"
    assert not leans(again)


@given(text=st.text(), said=st.lists(st.text(), max_size=5))
def test_any_text_makes_a_question(text: str, said: list[str]) -> None:
    made = standing_alone(asked(text, *said))
    assert isinstance(made, str)
    assert leans(asked(text, *said)) or made == text
