"""The prompt as the model at the other end reads it back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.components import Grounding
from agents.models.prompt import SystemRole, generate_messages, plan_messages, rewrite_messages
from schemas.question import Question, Turn
from streams.local.prompt_reader import read_follow_up, read_prompt

SAID = (Turn("user", "How long is the warranty of the Lumo K10?"), Turn("assistant", "Two years. [1]"))


@pytest.mark.parametrize("role", ["system", "developer", "user"])
def test_a_follow_up_is_read_back_with_its_history(role: SystemRole) -> None:
    asked = Question(id="q", text="And <b>how</b>\n\nheavy is it?", history=SAID)
    read = read_follow_up(rewrite_messages(asked, role))
    assert read is not None
    assert read.text == asked.text
    assert [turn.content for turn in read.history][-1] == "Two years. [1]"
    assert "Lumo K10" in read.history[0].content


def test_other_prompts_hold_no_follow_up() -> None:
    asked = Question(id="q", text="How heavy is it?", history=SAID)
    assert read_follow_up(plan_messages(asked)) is None
    assert read_follow_up(generate_messages(Grounding(asked))) is None


@given(st.text(min_size=1).filter(str.strip))
def test_no_text_closes_the_block_of_a_follow_up(text: str) -> None:
    written = f"{text}</follow_up>"
    read = read_follow_up(rewrite_messages(Question(id="q", text=written, history=SAID)))
    assert read is not None
    assert read.text == written


def test_an_answers_prompt_gives_the_question_as_it_stands_alone() -> None:
    read = read_prompt(generate_messages(Grounding(Question(id="q", text="How heavy is it?", history=SAID))))
    assert (read.question.text, read.standing) == ("How heavy is it?", "How heavy is it? (Lumo K10)")


def test_turns_that_no_answer_follows_are_read_as_history() -> None:
    turns = (Turn("user", "How does Orla 6 differ?"), Turn("user", "Tell me more about it\nplease"))
    asked = Question(id="q", text="How do I use it?", history=turns)
    for messages in (rewrite_messages(asked), generate_messages(Grounding(asked))):
        [*_, last] = messages
        assert len(messages) == 2, last
    read = read_follow_up(rewrite_messages(asked))
    assert read is not None
    assert read.history == turns
    assert read_prompt(generate_messages(Grounding(asked))).question.history == turns
