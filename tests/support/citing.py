"""Citations alone, of an answer that rests on passages alone."""

from collections.abc import Sequence

from agents.citing.checking import Given, check_answer
from agents.components import Passage
from schemas.answer import Citation


def check_citations(text: str, passages: Sequence[Passage]) -> tuple[str, tuple[Citation, ...]]:
    checked = check_answer(text, Given(passages))
    return checked.text, checked.citations
