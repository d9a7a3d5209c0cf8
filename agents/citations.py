"""Citations of an answer: each cites a passage that the model was given, with a quote from it. Pure.

Numbers of no passage are dropped from the text, so that every `[n]` left in it has its citation. Code in
the text stays as it is: `row[0]` cites nothing.
"""

import re
from collections.abc import Sequence

from agents.components import Passage
from agents.language.sentences import sentence_spans
from agents.language.terms import all_terms, terms
from schemas.answer import Citation

_NUMBERS = r"\s*\d{1,4}(?:\s*[,，、;；]\s*\d{1,4})*\s*"
_MARK = rf"(?:\[{_NUMBERS}\]|【{_NUMBERS}】)"
# Adjacent marks are matched as one run, so that a run whose numbers are all dropped leaves no gap.
# A match begins only at the first of several blanks: else a text of blanks would cost quadratic time.
_RUN = re.compile(rf"(?P<space>(?<![^\S\n])[^\S\n]*)(?P<marks>{_MARK}(?:[^\S\n]*{_MARK})*)")
_NUMBER = re.compile(r"\d+")
# More than four digits, such as a ticket's number, are text.
_CHECKED = re.compile(r"\[(\d{1,4})\]")
_INSIDE = re.compile(r"[\[\d][\d\]]")
# As in Markdown, a fence that is not closed ends with the text.
_CODE = re.compile(r"```(?s:.*?)(?:```|\Z)|`[^`\n]+`")
_CODE_OR_RUN = re.compile(rf"{_CODE.pattern}|{_RUN.pattern}")


def check_citations(text: str, passages: Sequence[Passage]) -> tuple[str, tuple[Citation, ...]]:
    """Return the text with valid citations only, as `[n]`, and one Citation for each n, in their order.

    `[1][2]`, `[1, 2]` and `【1】` are read. A quote is an exact substring of its chunk: the sentence that
    shares most terms with the statement that cites it. The score is the share of these terms, 0 to 1.
    A passage that is cited twice has the quote for the statement that it supports best.
    """
    if "[" not in text and "【" not in text:
        return text, ()
    checked = (_CODE_OR_RUN if "`" in text else _RUN).sub(lambda found: _kept(found, len(passages)), text)
    if checked != text:
        checked = checked.strip()
    quotes: dict[int, tuple[str, float]] = {}
    # Kept by passage, because an answer can cite one in hundreds of statements.
    sentences: dict[int, list[tuple[str, list[str]]]] = {}
    for statement, numbers in _cited_statements(checked):
        asked = set(terms(statement))
        for number in numbers:
            if statement and statement in passages[number - 1].text:
                quote, score = statement, 1.0
            else:
                if number not in sentences:
                    sentences[number] = _sentences(passages[number - 1].text)
                quote, score = _best_quote(asked, sentences[number])
            if number not in quotes or score > quotes[number][1]:
                quotes[number] = quote, score
    return checked, tuple(
        _citation(number, passages[number - 1], *quotes[number]) for number in sorted(quotes)
    )


def says_nothing(text: str) -> bool:
    """Whether the text is empty or holds citations alone."""
    bare = text.strip()
    return not bare or (bare[0] in "[【" and not _RUN.sub("", bare).strip())


def _kept(found: re.Match[str], given: int) -> str:
    if found["marks"] is None:
        return found[0]
    numbers = dict.fromkeys(int(number) for number in _NUMBER.findall(found["marks"]))
    marks = "".join(f"[{number}]" for number in numbers if 1 <= number <= given)
    if marks:
        return found["space"] + marks
    # Brackets around a dropped mark would close up and become a mark that was not checked.
    text, start, end = found.string, *found.span()
    return " " if _INSIDE.fullmatch(text[start - 1 : start] + text[end : end + 1]) else ""


def _cited_statements(text: str) -> list[tuple[str, list[int]]]:
    """Each citing sentence without its marks, and its numbers; marks alone belong to the sentence before."""
    found: list[tuple[str, list[int]]] = []
    before = ""
    if "`" in text:
        text = _CODE.sub(lambda code: code[0].replace("[", "("), text)
    for start, end in sentence_spans(text):
        sentence = text[start:end]
        numbers = [int(number) for number in _CHECKED.findall(sentence)]
        statement = _CHECKED.sub("", sentence).strip()
        if any(map(str.isalnum, statement)):
            before = statement
        if numbers:
            found.append((before, numbers))
    return found


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
