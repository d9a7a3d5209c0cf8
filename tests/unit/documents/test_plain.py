"""The plain text of a document, by its format or its look."""

import pytest

from agents.documents.plain import plain_text, windows
from schemas.document import Document


def plain(text: str, form: str = "") -> tuple[str, str]:
    found = plain_text(Document(id="d", text=text, format=form))  # type: ignore[arg-type]
    return found.text, found.title


@pytest.mark.parametrize(
    ("text", "body", "title"),
    [
        ("---\ntitle: Hoist book\ntags: [a]\n---\nIt lifts.", "It lifts.", "Hoist book"),
        ('---\r\nowner: jane\r\ntitle: "Real: title"\r\n---\r\nIt lifts.', "It lifts.", "Real: title"),
        ("---\ntitle: 'It''s'\nlist:\n- a\n  b: c\n...\nIt lifts.", "It lifts.", "It's"),
        ("---\ntitle: X\n---", "", "X"),
        ("\ufeff---\ntitle: >-\n  Two\n  lines\n---\nIt lifts.", "It lifts.", "Two lines"),
        ('+++\ntitle = "Crane"\ntags = ["a"]\n+++\nIt lifts.', "It lifts.", "Crane"),
        ("---\nTitle: Big # a comment\n---\nIt lifts.", "It lifts.", "Big"),
    ],
)
def test_front_matter_is_no_text_and_gives_the_title(text: str, body: str, title: str) -> None:
    assert plain(text) == (body, title)
    assert plain(text, "markdown") == (body, title)
    assert plain(text, "text") == (text, "")


@pytest.mark.parametrize(
    "text",
    [
        "---\n\nIntro before the rule.\n\n---\n\nSecond part.",
        "---\nIntro before the rule.\n---\nSecond part.",
        "---\nNote: bring water.\n---\nSecond part.",
        "---\ntitle: never closed\n\nText.",
        "----\ntitle: x\n---\n",
        "Text\n---\ntitle: x\n---\n",
        "---\n---\nText",
        "+++\nIt lifts.\n+++\nText",
    ],
)
def test_a_rule_at_the_top_is_no_front_matter(text: str) -> None:
    assert plain(text) == (text, "")


def test_a_page_is_known_by_its_look_or_format() -> None:
    page = "<!DOCTYPE html><title>Pump</title><p>It turns.</p>"
    assert plain(page) == plain(page, "html") == ("It turns.", "Pump")
    assert plain("It <b>turns</b>.") == ("It <b>turns</b>.", "")
    assert plain("It <b>turns</b>.", "html") == ("It turns.", "")
    assert plain(page, "text") == (page, "")


def test_only_blank_lines_divide_a_text() -> None:
    text = "# one\n- two\n\n    three\n \n\tfour\r\n\r\nfive"
    found = plain_text(Document(id="d", text=text, format="text"))
    blocks = [block for window in windows(found) for block in window]
    assert [text[block.start : block.end] for block in blocks] == ["# one\n- two", "three", "four", "five"]
    assert {block.kind for block in blocks} == {"paragraph"}


def test_indented_prose_without_other_marks_is_no_code() -> None:
    found = plain_text(Document(id="d", text="Chapter one\n\n    It was night.\n"))
    assert {block.kind for window in windows(found) for block in window} == {"paragraph"}
