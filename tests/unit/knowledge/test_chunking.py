"""Documents are cut into chunks."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.knowledge.chunking import WINDOW, Chunk, chunk_text, estimate_tokens
from agents.language.sentences import sentence_spans

ENGLISH = "The keeper winds the clockwork every four hours of the night. "
CHINESE = "守灯人每四个小时给钟表上一次发条。"

texts = st.lists(
    st.one_of(
        st.sampled_from(
            [ENGLISH, CHINESE, "\n\n", " ", "Mr. A. B. Smith left. ", "x" * 90, "答え。", "🦀! ", "\u3000"]
        ),
        st.text(max_size=30),
    ),
    max_size=60,
).map("".join)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("", 0, 0),
        ("one two three four five six seven eight nine ten", 13, 13),
        ("守灯人每四个小时", 8, 8),
        ("守灯人，每四个小时。", 10, 10),
        ("灯 lamp 塔 tower", 4.6, 4.6),
        ("等灯塔", 3, 3),
        ("등대지기", 4, 4),
        ("x" * 600, 100, 100),
    ],
)
def test_token_estimates_fit_every_script(text: str, least: float, most: float) -> None:
    assert least <= estimate_tokens(text) <= most


@given(texts, st.integers(min_value=5, max_value=60))
def test_every_chunk_is_a_substring_within_the_limit(text: str, size: int) -> None:
    chunks = list(chunk_text(text, size, size // 8))
    for chunk in chunks:
        assert text[chunk.start : chunk.start + len(chunk.text)] == chunk.text
        assert chunk.text.strip()
        assert estimate_tokens(chunk.text) <= size + size * 0.5 or len(chunk.text) == 1
    assert [chunk.number for chunk in chunks] == list(range(len(chunks)))


@given(texts, st.integers(min_value=5, max_value=60))
def test_chunks_leave_out_only_white_space(text: str, size: int) -> None:
    covered = bytearray(len(text))
    for chunk in chunk_text(text, size, size // 8):
        covered[chunk.start : chunk.start + len(chunk.text)] = b"\1" * len(chunk.text)
    assert not "".join(
        character for character, inside in zip(text, covered, strict=True) if not inside
    ).strip()


@given(texts)
def test_each_chunk_starts_after_the_one_before(text: str) -> None:
    chunks = list(chunk_text(text, 20, 10))
    ends = [chunk.start + len(chunk.text) for chunk in chunks]
    assert ends == sorted(set(ends))
    starts = [chunk.start for chunk in chunks]
    assert starts == sorted(set(starts))


@pytest.mark.parametrize("sentence", [ENGLISH, CHINESE])
def test_sentences_stay_whole_and_overlap(sentence: str) -> None:
    text = sentence * 300
    sentences = {text[start:end] for start, end in sentence_spans(text)}
    chunks = list(chunk_text(text))
    assert len(chunks) > 5
    for chunk in chunks:
        assert {chunk.text[start:end] for start, end in sentence_spans(chunk.text)} == sentences
        assert estimate_tokens(chunk.text) <= 512
    for before, after in itertools.pairwise(chunks):
        shared = text[after.start : before.start + len(before.text)]
        assert 64 - estimate_tokens(sentence) <= estimate_tokens(shared) <= 64


def test_a_short_text_is_one_chunk_without_the_space_around_it() -> None:
    assert list(chunk_text("\n  One. Two.\n")) == [Chunk(0, 3, "One. Two.")]


@pytest.mark.parametrize("text", ["", " \n\t\u3000 "])
def test_a_blank_text_has_no_chunks(text: str) -> None:
    assert list(chunk_text(text)) == []


def test_a_sentence_longer_than_a_chunk_is_split_at_white_space() -> None:
    text = "word " * 3_000
    chunks = list(chunk_text(text))
    assert len(chunks) > 5
    assert all(estimate_tokens(chunk.text) <= 512 for chunk in chunks)
    assert all(set(chunk.text.split()) == {"word"} for chunk in chunks)


def test_a_sentence_at_a_window_s_end_stays_whole() -> None:
    text = (
        "Hm. " * (WINDOW // 4 - 3)
        + "This sentence runs over the end of the first window of characters. Last."
    )
    sentences = [text[start:end] for start, end in sentence_spans(text)]
    chunks = list(chunk_text(text, 10_000))
    assert [
        chunk.text[start:end] for chunk in chunks for start, end in sentence_spans(chunk.text)
    ] == sentences
