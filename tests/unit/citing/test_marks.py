"""Which brackets of an answer are marks that cite a passage, and which are its text."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.citing.marks import Mark, drop_references, read_marks, says_nothing

SOURCES = ["The sky is blue.", "天空是蓝色的。", "Water is wet."]


@pytest.mark.parametrize(
    ("text", "checked", "cited"),
    [
        ("Blue [1].", "Blue [1].", [(1,)]),
        ("Blue [1][2].", "Blue [1][2].", [(1, 2)]),
        ("Blue [2, 1].", "Blue [2][1].", [(2, 1)]),
        ("Blue [1;3] and [1 and 2].", "Blue [1][3] and [1][2].", [(1, 3), (1, 2)]),
        ("Blue [1-3], wet [2–3].", "Blue [1][2][3], wet [2][3].", [(1, 2, 3), (2, 3)]),
        ("蓝色【1、2】", "蓝色[1][2]", [(1, 2)]),
        ("Blue [ 1 ] [1].", "Blue [1].", [(1,)]),
        ("Blue [1] [2], [3].", "Blue [1][2], [3].", [(1, 2), (3,)]),
        ("Blue [^1], wet [^3^].", "Blue [1], wet [3].", [(1,), (3,)]),
        ("Blue【1†source】, wet【3†L3-L5】.", "Blue[1], wet[3].", [(1,), (3,)]),
        ("Blue【1:0†a.md】【2†b.md†L1】.", "Blue[1][2].", [(1, 2)]),
        ("蓝色［1］，湿〔3〕。", "蓝色[1]，湿[3]。", [(1,), (3,)]),
        ("Blue ［１］.", "Blue [1].", [(1,)]),
        ('Blue [id="1"], wet [source id="3"].', "Blue [1], wet [3].", [(1,), (3,)]),
        ("Blue [source 1], wet [Source: 3].", "Blue [1], wet [3].", [(1,), (3,)]),
        ("Blue [sources 1 and 2], wet [doc3].", "Blue [1][2], wet [3].", [(1, 2), (3,)]),
        ("Blue [source 1, source 2].", "Blue [1][2].", [(1, 2)]),
        ("Blue [citation:1], wet [cite: 2, 3].", "Blue [1], wet [2][3].", [(1,), (2, 3)]),
        ("Blue (source 1), wet (Sources: 2, 3).", "Blue [1], wet [2][3].", [(1,), (2, 3)]),
        ("Blau [Quelle 1]. 蓝色（来源：2）。", "Blau [1]. 蓝色[2]。", [(1,), (2,)]),
        ("Blue[1] and wet[3].", "Blue[1] and wet[3].", [(1,), (3,)]),
        ("Written [[1]].", "Written [[1]].", [(1,)]),
        ("", "", []),
        ("No citation.", "No citation.", []),
        (" Blue [1]. ", " Blue [1]. ", [(1,)]),
    ],
)
def test_marks_of_all_common_styles_are_read(text: str, checked: str, cited: list[tuple[int, ...]]) -> None:
    result, marks = read_marks(text, SOURCES)
    assert result == checked
    assert [mark.numbers for mark in marks] == cited
    for mark in marks:
        assert result[mark.start : mark.end] == "".join(f"[{number}]" for number in mark.numbers)


@pytest.mark.parametrize(
    "text",
    [
        "Read `row[1]`, ``a`[1]`` or ```b[1]```.",
        "```python\nrow[1], row[2]\n```",
        "~~~\n[1]\n~~~",
        "```\nnever closed [1]",
        "The interval [0, 1] is closed.",
        "It lies in [0, 1].",
        "A value in the range [1, 2].",
        "Das Intervall [1, 3] und 区间[1, 2]。",
        "x = [1, 2, 3]",
        "Between [1, 10] bar and [5-9] bar.",
        "Open argv[0], then argv[1].",
        "The element x[1] or x[9].",
        "array[2] is the third.",
        "self.items[1] and `a`; my_row[2] too.",
        "total[1] += 2, size[2].max",
        "grid[1][2] = 0",
        "Smith [2019], ticket [12345], code [404].",
        "See [1](https://example.com) and ![1](a.png).",
        "[1]: https://example.com",
        "Words.\n[^1]: A footnote.",
        "- [ ] open\n- [x] done",
        "A list [a, b], [x], [1a].",
        "Escaped \\[1\\] and [1\\].",
        "[1【, 【1], (1), (1, 2)",
        "Pages [10-12], years [2019-2021].",
        "In [1, 2] it lies.",
        "Grass grows [0, 1].",
        "Bolts [8, 9].",
        "Bolts [1, 9] bar wide.",
        "Ticket [100].",
        "Set temp[0], then temp[1].",
        "The value of x[1] is it.",
        "Read $pos[1] too.",
        "Call f(a)[1] = 0, then [a][1] = 0.",
        "Escaped \\[1].",
    ],
)
def test_brackets_that_cite_nothing_stay_as_they_are(text: str) -> None:
    assert read_marks(text, SOURCES) == (text, [])


@pytest.mark.parametrize(
    ("text", "checked"),
    [
        ("The interval [0, 1] is closed [1].", "The interval [0, 1] is closed [1]."),
        ("It lies in [0, 1] [1].", "It lies in [0, 1] [1]."),
        ("Smith [2019] said so [1].", "Smith [2019] said so [1]."),
        ("Read `row[2]` [1].", "Read `row[2]` [1]."),
        ("Read [2](b.md) [1].", "Read [2](b.md) [1]."),
        ("Blue (as the sky)[1].", "Blue (as the sky)[1]."),
        ("7[9]7 is blue [1].", "7[9]7 is blue [1]."),
        ("It`s blue [1].\nIt`s [9] wet.", "It`s blue [1].\nIt`s wet."),
    ],
)
def test_a_mark_is_read_beside_brackets_that_cite_nothing(text: str, checked: str) -> None:
    result, marks = read_marks(text, SOURCES)
    assert result == checked
    assert [mark.numbers for mark in marks] == [(1,)]


@pytest.mark.parametrize(
    ("text", "checked"),
    [
        ("Blue [1][7].", "Blue [1]."),
        ("Blue [7], or not [0][9].", "Blue, or not."),
        ("Grass [9] is green.", "Grass is green."),
        ("Grass is green [1, 9].", "Grass is green [1]."),
        ("没有【8】。", "没有。"),
        ("Blue【8†source】 or [source 9] wet.", "Blue or wet."),
        ("[9]", ""),
        ("[9] Blue.\n[9] Wet.", "Blue.\nWet."),
        ("  Blue [9].  ", "  Blue.  "),
        ("Blue ([9]), wet [[9]].", "Blue, wet."),
        ("[[9]7]", "[[9]7]"),
        ("7[9]7", "7[9]7"),
        ("7[9] a", "7 a"),
        ("【[9]7】", "【[9]7】"),
        ("Blue [99].", "Blue."),
        ("蓝（[9]）。", "蓝。"),
    ],
)
def test_numbers_of_no_passage_are_dropped_and_nothing_else(text: str, checked: str) -> None:
    assert read_marks(text, SOURCES)[0] == checked


WIKI = (
    "The airship flew in 1900.[3] It was refined by Maybach.[2][14] Set it to [1, 2] bar, or see argv[1]. "
    "Done [4]."
)


@pytest.mark.parametrize(
    ("text", "checked", "cited"),
    [
        ("It flew in 1900.[3][1]", "It flew in 1900.[1]", [(1,)]),
        ("Refined by Maybach.[2][14] [1]", "Refined by Maybach. [1]", [(1,)]),
        ("Refined by Maybach.[2][14]", "Refined by Maybach.", []),
        ("It flew in 1900. [3]", "It flew in 1900. [3]", [(3,)]),
        ("Set it to [1, 2] bar [1].", "Set it to [1, 2] bar [1].", [(1,)]),
        ("Or see argv[1] [1].", "Or see argv[1] [1].", [(1,)]),
        ("Set it, or see argv[1] [1].", "Set it, or see argv[1] [1].", [(1,)]),
        ("Refined by Maybach.[2][14][3]", "Refined by Maybach.[3]", [(3,)]),
    ],
)
def test_marks_of_the_sources_own_text_are_no_citations(
    text: str, checked: str, cited: list[tuple[int, ...]]
) -> None:
    result, marks = read_marks(text, [WIKI, "Other.", "Another."])
    assert (result, [mark.numbers for mark in marks]) == (checked, cited)


@pytest.mark.parametrize(
    ("text", "sources", "checked"),
    [
        ("It flew in 1900.[3][1]", ["Other.", "It flew in 1900.[3]", "A."], "It flew in 1900.[1]"),
        ("In 1900.[3][1]", ["In 1900.[3] Then.", "A.", "B."], "In 1900.[1]"),
        ("By Maybach.[2][3][1]", ["By Maybach.[2][3]", "A.", "B."], "By Maybach.[1]"),
        ("\na\nSky.[3][1]\nMore.", ["Blue. Sky.[3] is", "A.", "B."], "\na\nSky.[1]\nMore."),
        ("\nSky.[3][1]\nMore.", ["Blue. Sky.[3] is", "A.", "B."], "\nSky.[1]\nMore."),
        ("\n天[3][1]", ["天[3]", "A.", "B."], "\n天[1]"),
    ],
)
def test_a_mark_of_any_source_is_known_by_the_words_before_it_in_its_line(
    text: str, sources: list[str], checked: str
) -> None:
    assert read_marks(text, sources)[0] == checked


def test_a_mark_that_names_the_source_that_has_it_is_the_answers_own() -> None:
    assert read_marks("It flew in 1900.[1]", ["It flew in 1900.[1]"])[1] == [Mark(16, 19, (1,))]
    assert read_marks("It flew in 1900.[1]", ["It flew in 1900.[1]"] * 2)[1] == [Mark(16, 19, (1,))]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            WIKI,
            "The airship flew in 1900. It was refined by Maybach. Set it to [1, 2] bar, or see argv[1]. "
            "Done.",
        ),
        ("No brackets.", "No brackets."),
        ("An [offer](a.md), a [1](b.md), `row[1]`.", "An [offer](a.md), a [1](b.md), `row[1]`."),
        ("Text[^1] and【2】.", "Text and."),
        ("Set it to [1, 2]. Use [3] bar.", "Set it to [1, 2]. Use [3] bar."),
        ("See temp[1] now.", "See temp[1] now."),
    ],
)
def test_a_source_is_shown_without_its_reference_marks(text: str, shown: str) -> None:
    assert drop_references(text) == shown


@pytest.mark.parametrize(
    "text", ["", " \n", "[1]", " 【1】 [2, 3] ", "[source 1]", "(source 1)", "【1†source】"]
)
def test_a_text_of_nothing_but_citations_says_nothing(text: str) -> None:
    assert says_nothing(text)


@pytest.mark.parametrize("text", ["Blue.", "[1] Blue.", "Blue [1]", "[", "[x]", "【x】"])
def test_any_other_text_says_something(text: str) -> None:
    assert not says_nothing(text)


@given(
    st.lists(
        st.sampled_from([*"ab 1239[]【】,、.†-^() 的\n", "[[", "12345", "`", "```", "source "]), max_size=60
    ).map("".join),
    st.lists(st.text(max_size=60), max_size=3),
)
def test_every_mark_cites_a_passage_and_stands_in_the_text(text: str, sources: list[str]) -> None:
    checked, marks = read_marks(text, sources)
    end = 0
    for mark in marks:
        assert mark.start >= end
        end = mark.end
        assert checked[mark.start : end] == "".join(f"[{number}]" for number in mark.numbers)
        assert all(1 <= number <= len(sources) for number in mark.numbers)


@pytest.mark.parametrize(
    "piece",
    [
        " ",
        "[1",
        "[1 ",
        "[1]",
        "[1] ",
        "[",
        "【",
        "[1,",
        "[1-",
        "(source ",
        "[source source ",
        "[1†",
        "x[1",
        "x[9] ",
        "`",
        "^",
    ],
)
def test_a_hostile_text_costs_time_in_proportion_to_its_length(piece: str) -> None:
    text = f"a [1{piece * 10_000}b [1]"
    started = time.thread_time()
    read_marks(text, SOURCES)
    assert time.thread_time() - started < 2.0
