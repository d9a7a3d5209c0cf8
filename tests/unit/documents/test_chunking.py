"""Documents are cut into chunks."""

import itertools
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.documents.chunking import Chunk, ChunkSizes, cut
from agents.documents.pieces import WINDOW
from agents.documents.plain import PlainText
from agents.documents.tokens import estimate_tokens
from agents.language.sentences import sentence_spans

ENGLISH = "The keeper winds the clockwork every four hours of the night. "
CHINESE = "守灯人每四个小时给钟表上一次发条。"


def chunk_text(text: str, max_tokens: int = 512, overlap_tokens: int = 64) -> list[Chunk]:
    return [chunk for chunk in cut(PlainText(text), ChunkSizes(max_tokens, overlap_tokens)) if chunk]


texts = st.lists(
    st.one_of(
        st.sampled_from(
            [
                ENGLISH,
                CHINESE,
                "\n\n",
                " ",
                "Mr. A. B. Smith left. ",
                "x" * 90,
                "答え。",
                "🦀! ",
                "\u3000",
                "# H\n",
                "## G\n",
                "- it\n",
                "| a | b |\n|---|---|\n",
                "| c | d |\n",
                "```\n",
                "\n",
            ]
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
        assert estimate_tokens(chunk.text) <= 6 * size or len(chunk.text) == 1
    assert [chunk.number for chunk in chunks] == list(range(len(chunks)))


@given(texts, st.integers(min_value=5, max_value=60))
def test_chunks_leave_out_no_word(text: str, size: int) -> None:
    covered = bytearray(len(text))
    for chunk in chunk_text(text, size, size // 8):
        covered[chunk.start : chunk.start + len(chunk.text)] = b"\1" * len(chunk.text)
    left = "".join(mark for mark, inside in zip(text, covered, strict=True) if not inside)
    assert not re.search(r"[^\W_]", left)


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


def test_a_chunk_knows_the_headings_above_it_and_not_those_in_it() -> None:
    long = "The pump turns quietly in the night. " * 60
    text = f"# Pump\n{long}\n\n## Valve *two*\n{long}\n# Oil\nBlack."
    chunks = chunk_text(text, 256, 0)
    assert [chunk.headings for chunk in chunks if chunk.text.startswith("The pump")] == [
        ("Pump",),
        ("Pump",),
        ("Pump", "Valve two"),
        ("Pump", "Valve two"),
    ]
    assert chunks[0].headings == chunks[-1].headings == ()
    assert chunks[-1].text == "# Oil\nBlack."
    assert all(not chunk.text.rstrip().split("\n")[-1].startswith("#") for chunk in chunks)


def test_small_sections_of_one_parent_share_a_chunk_and_others_do_not() -> None:
    faq = "".join(f"## Question {n}?\nAnswer {n}.\n" for n in range(4))
    assert len(chunk_text(f"# FAQ\n{faq}")) == 1
    deep = "# A\n## B\n" + "Word. " * 300 + "\n### C\nOne.\n## D\nTwo."
    assert [chunk.headings for chunk in chunk_text(deep, 128, 0)][-2:] == [("A", "B"), ("A",)]


def test_a_heading_is_never_alone_at_a_chunk_s_end() -> None:
    text = "".join(f"# Part {n}\n## Piece {n}\n" + "It turns. " * 25 + "\n" for n in range(9))
    for chunk in chunk_text(text, 64, 0):
        assert not chunk.text.split("\n")[-1].startswith("#")


def test_a_table_is_cut_between_rows_and_each_part_has_its_header() -> None:
    rows = [f"| part-{n} | {n * 7} EUR | shelf {n % 13} |" for n in range(400)]
    text = "# Parts\n\n| Part | Price | Place |\n|---|---|---|\n" + "\n".join(rows) + "\n\nEnd."
    chunks = chunk_text(text, 128, 32)
    assert len(chunks) > 10
    found = [line for chunk in chunks for line in chunk.text.split("\n") if line.startswith("| part-")]
    assert found == rows
    assert chunks[0].lead == ""
    assert {chunk.lead for chunk in chunks[1:]} == {"| Part | Price | Place |\n|---|---|---|"}
    assert {chunk.headings for chunk in chunks[1:]} == {("Parts",)}


def test_code_is_cut_between_lines() -> None:
    lines = [f'print("step {n} is done. Next.")' for n in range(200)]
    chunks = chunk_text("```\n" + "\n".join(lines) + "\n```", 64, 16)
    assert [line for chunk in chunks for line in chunk.text.split("\n") if "print" in line] == lines


def test_a_text_of_headings_alone_has_chunks() -> None:
    assert [chunk.text for chunk in chunk_text("# One\n## Two")] == ["# One\n## Two"]


@pytest.mark.alone
@pytest.mark.parametrize("piece", ["It turns. ", "a\n", "- a\n", "| a | b |\n|---|---|\n", "# a\n", "x"])
def test_a_large_document_is_cut_in_short_steps(piece: str) -> None:
    text = piece * (400_000 // len(piece))
    last, steps = time.process_time(), []
    for _ in cut(PlainText(text)):
        now = time.process_time()
        steps.append(now - last)
        last = now
    # A step that the machine took for something else is no step of ours.
    assert sorted(steps)[int(len(steps) * 0.99)] < 0.005 * 4
