"""Reasoning is taken out of a text, wherever the text is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.models.thoughts import Habit, ThoughtFilter, is_answer_alone


def read(
    *pieces: str, habit: Habit = Habit.ANSWERS_FIRST, cut: bool = False
) -> tuple[str, str, ThoughtFilter]:
    """The deltas joined, the whole text, and the filter."""
    told = ThoughtFilter(habit)
    deltas = [told.feed(piece) for piece in pieces]
    deltas.append(told.close(cut=cut))
    return "".join(deltas), told.text, told


CASES = [
    ("Plain [1] text, a < b, {c} and <b>d</b>.", "Plain [1] text, a < b, {c} and <b>d</b>."),
    ("\n <think>a</think>\n\nB", "B"),
    ("A <think>b</think>c", "A c"),
    ('<think duration="3">a</think >B', "B"),
    ("<think>a `</think>` b</think>C", "C"),
    ("Write `<think>` or '</think>' first.", "Write `<think>` or '</think>' first."),
    ("◁think▷a◁/think▷B", "B"),
    ("<|begin_of_thought|>a<|end_of_thought|><|begin_of_solution|>B<|end_of_solution|>", "B"),
    ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>B<|END_RESPONSE|>", "B"),
    ("<|channel>thought\na<channel|>B", "B"),
    ("<|start|>assistant<|channel|>final<|message|>A<|return|>", "A"),
    ("<|channel|>final<|message|>A<|end|>", "A"),
    ("A<|im_end|>\n<|im_start|>user\nB", "A"),
    ("<think>a</think>B</think>", "B"),
    ("<think>a</think>\n<answer>\nB</answer>", "B"),
    ("<think>a</think><response>B", "B"),
    ("<think>a</think>Use <answer>b</answer>.", "Use <answer>b</answer>."),
    ("Use <response>b</response>.", "Use <response>b</response>."),
    ("<longcat_think>a</longcat_think>B", "B"),
    ("<think_never_used_51bce0c7>a</think_never_used_51bce0c7>B", "B"),
    ("<|thinking|>a<|/thinking|>B", "B"),
    ("<scratchpad>a</scratchpad>B", "B"),
    ("analysisHm [2].assistantfinalA [1].", "A [1]."),
    ("analysisHm.", ""),
    ("analysis", "analysis"),
    ("analysis of A", "analysis of A"),
]


@pytest.mark.parametrize(("written", "answer"), CASES)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_only_the_answer_is_told(written: str, answer: str, size: int) -> None:
    pieces = [written[i : i + size] for i in range(0, len(written), size)]
    deltas, text, _ = read(*pieces)
    assert deltas == text == answer


def test_a_block_that_is_not_closed_swallows_the_rest_and_says_so() -> None:
    deltas, text, told = read("A <think>b")
    assert (deltas, text, told.cut) == ("A ", "A ", True)


def test_a_lone_closing_mark_ends_reasoning_that_looked_like_an_answer() -> None:
    deltas, text, told = read("Hm.", "\n</think>", "\nA")
    assert (deltas, text) == ("Hm.\nA", "A")
    assert told.thought
    assert told.opened_before


def test_a_model_that_thinks_first_is_withheld_until_it_has_thought() -> None:
    assert read("Hm.", "</thi", "nk>A", habit=Habit.THINKS_FIRST)[:2] == ("A", "A")
    assert read("No thought.", habit=Habit.THINKS_FIRST)[:2] == ("No thought.", "No thought.")
    assert read("<think>a</think>B", habit=Habit.THINKS_FIRST)[:2] == ("B", "B")
    deltas, text, told = read("Hm, hm", habit=Habit.THINKS_FIRST, cut=True)
    assert (deltas, text, told.thought) == ("", "", True)


def test_a_stream_of_a_model_of_which_nothing_is_known_tells_no_reasoning() -> None:
    unknown = Habit.UNKNOWN
    assert read("Hm.", "</thi", "nk>A", habit=unknown)[:2] == ("A", "A")
    assert read("No ", "thought.", habit=unknown)[:2] == ("No thought.", "No thought.")
    assert read("A ", "<think>b</think>c", habit=unknown)[:2] == ("A c", "A c")
    assert read("analysis", "<|message|>a<|end|>", "<|start|>assistant<|message|>B", habit=unknown)[1] == "B"
    deltas, text, told = read("An ans", habit=unknown, cut=True)
    assert (deltas, text, told.thought) == ("An ans", "An ans", False)


def test_a_withheld_text_is_told_once_another_reply_shows_that_the_model_answers_first() -> None:
    told = ThoughtFilter(Habit.UNKNOWN)
    assert told.feed("No ") == ""
    assert told.learn(Habit.UNKNOWN) == ""
    assert told.learn(Habit.ANSWERS_FIRST) == "No "
    assert told.learn(Habit.ANSWERS_FIRST) == ""
    assert (told.feed("thought."), told.close(), told.text) == ("thought.", "", "No thought.")


def test_a_text_stays_withheld_if_another_reply_shows_that_the_model_thinks_first() -> None:
    told = ThoughtFilter(Habit.UNKNOWN)
    told.feed("Hm")
    assert told.learn(Habit.THINKS_FIRST) == ""
    assert told.learn(Habit.ANSWERS_FIRST) == ""
    assert (told.close(cut=True), told.text, told.thought) == ("", "", True)


def test_calls_in_the_harmony_format_are_kept_apart() -> None:
    _, text, told = read(
        "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary to=functions.b "
        '<|constrain|>json<|message|>{"c":1}<|call|>'
    )
    assert (text, told.calls) == ("", [("functions.b", '{"c":1}')])


MARKS = [
    "analysisA",
    "assistantfinal",
    "<think>",
    "</think>",
    "<|channel|>",
    "<|message|>",
    "final",
    "analysis",
    "<|end|>",
    "`",
    "[THINK]",
    "[/think]",
    "◁think▷",
    "[1]",
    "<answer>",
    "</answer>",
    "<",
]


@given(st.lists(st.sampled_from(MARKS) | st.text(max_size=4), max_size=12), st.data())
def test_any_cut_gives_the_same_text(parts: list[str], data: st.DataObject) -> None:
    written = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(written)), max_size=6)))
    pieces = [written[a:b] for a, b in zip([0, *cuts], [*cuts, len(written)], strict=True)]
    assert read(*pieces)[1] == read(written)[1]
    whole = ThoughtFilter()
    whole.feed_whole(written)
    whole.close()
    assert whole.text == read(written)[1]


@pytest.mark.parametrize("habit", [Habit.UNKNOWN, Habit.THINKS_FIRST])
@given(st.lists(st.sampled_from(MARKS) | st.text(max_size=4), max_size=12))
def test_withholding_changes_no_text(habit: Habit, parts: list[str]) -> None:
    assert read(*parts, habit=habit)[1] == read("".join(parts))[1]


@given(st.text(st.characters(codec="utf-8", exclude_characters="<[◁"), min_size=1))
def test_a_text_without_marks_stays_as_it_is(text: str) -> None:
    assert read(*text)[:2] == (text.lstrip(), text.lstrip())


@given(st.lists(st.sampled_from(MARKS) | st.text(max_size=4), max_size=3))
def test_a_text_that_is_an_answer_alone_is_told_whole_however_it_is_cut(parts: list[str]) -> None:
    text = "".join(parts).lstrip()
    deltas, told, thoughts = read(*text)
    if is_answer_alone(text):
        assert deltas == told == text
        assert (thoughts.thought, thoughts.opened_before, thoughts.calls) == (False, False, [])
    else:
        assert set("<[◁\ud800") & set(text) or text.startswith("analysis")


@pytest.mark.parametrize("mark", ["<think>", "[THINK]", "[think]", "[/Think]", "◁think▷", "\ud83d"])
def test_a_text_with_a_mark_is_no_answer_alone(mark: str) -> None:
    assert not is_answer_alone(f"A {mark} b")
