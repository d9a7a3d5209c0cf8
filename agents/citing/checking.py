"""Citations of an answer: each cites a passage that the model was given, with a quote from it. Pure."""

from collections.abc import Sequence

from agents.citing.marks import read_marks
from agents.citing.statements import statements_of
from agents.components import Passage
from agents.language.sentences import sentence_spans
from agents.language.terms import all_terms, terms
from schemas.answer import Citation


def check_citations(text: str, passages: Sequence[Passage]) -> tuple[str, tuple[Citation, ...]]:
    """Return the text with valid citations only, as `[n]`, and the citations by number.

    A quote is an exact substring of its chunk: the sentence that shares most terms with the statement that
    cites it. The score is the share of these terms, 0 to 1. A passage that several statements cite has a
    citation for each quote, in the order of the text.
    """
    checked, marks = read_marks(text, [passage.text for passage in passages])
    if not marks:
        return checked, ()
    # Kept by passage, because an answer can cite one in hundreds of statements.
    sentences: dict[int, list[tuple[str, list[str]]]] = {}
    quotes: dict[tuple[int, str], float] = {}
    for statement in statements_of(checked, marks):
        asked = set(terms(statement.said))
        for number in statement.numbers:
            if number not in sentences:
                sentences[number] = _sentences(passages[number - 1].text)
            quote, score = _best_quote(asked, sentences[number])
            quotes[number, quote] = max(score, quotes.get((number, quote), 0.0))
    return checked, tuple(
        _citation(number, passages[number - 1], quote, quotes[number, quote])
        for number, quote in sorted(quotes, key=lambda cited: cited[0])
    )


def _sentences(text: str) -> list[tuple[str, list[str]]]:
    """Each sentence with its terms."""
    return [(text[start:end], all_terms(text[start:end])) for start, end in sentence_spans(text)]


def _best_quote(asked: set[str], sentences: list[tuple[str, list[str]]]) -> tuple[str, float]:
    best, most = "", -1
    for sentence, found in sentences:
        shared = len(asked.intersection(found))
        if shared > most:
            best, most = sentence, shared
    return best, round(max(most, 0) / len(asked), 3) if asked else 0.0


def _citation(number: int, passage: Passage, quote: str, score: float) -> Citation:
    return Citation(
        index=number,
        document_id=passage.document_id,
        chunk_id=passage.chunk_id,
        title=passage.title,
        source=passage.source,
        quote=quote,
        score=score,
    )
