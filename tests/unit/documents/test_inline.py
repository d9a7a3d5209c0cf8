"""Inline marks are taken out of Markdown."""

import pytest

from agents.documents.inline import inline_text


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("The **bold** and _slanted_ `code`", "The bold and slanted code"),
        ("See [the manual](http://pump/x) now", "See the manual now"),
        ("2 * 3 * 4 and snake_case_name", "2 * 3 * 4 and snake_case_name"),
        ("a \\| b &amp; c", "a | b & c"),
        ("![diagram](x.png)", "diagram"),
        ("plain", "plain"),
        ("**", "**"),
    ],
)
def test_inline_marks_are_taken_out(markdown: str, text: str) -> None:
    assert inline_text(markdown) == text
