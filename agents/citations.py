"""What an answer may cite: the passages that it was given, each with the quote that it rests on.

Pure. Numbers that were not given are dropped from the text, so that every `[n]` left in it has its
citation.
"""

import re
from collections.abc import Sequence

from agents.components import Passage
from agents.sentences import sentence_spans, terms
from schemas.answer import Citation

_NUMBERS = r"\s*\d{1,4}(?:\s*[,，、;；]\s*\d{1,4})*\s*"
_MARK = rf"(?:\[{_NUMBERS}\]|【{_NUMBERS}】)"
# A whole run at once: where all of its numbers are dropped it leaves no gap.
# It begins where its blanks do: tried at each of them, a text of blanks would cost quadratically.
_RUN = re.compile(rf"(?P<space>(?<![^\S\n])[^\S\n]*)(?P<marks>{_MARK}(?:[^\S\n]*{_MARK})*)")
_NUMBER = re.compile(r"\d+")
_CHECKED = re.compile(r"\[(\d+)\]")


def check_citations(text: str, passages: Sequence[Passage]) -> tuple[str, tuple[Citation, ...]]:
    """The text with only the citations that hold, as `[n]`, and one Citation for each n, by number.

    `[1][2]`, `[1, 2]` and `【1】` are read. A quote is an exact substring of its chunk: the sentence
    with most of the terms of the statement that cites it; its score is the share it has, 0 to 1.
    A passage that is cited twice has the quote for the statement that it supports best.
    """
    if "[" not in text and "【" not in text:
        return text, ()
    checked = _RUN.sub(lambda run: _kept(run, len(passages)), text)
    if checked != text:
        checked = checked.strip()
    quotes: dict[int, tuple[str, float]] = {}
    for statement, numbers in _cited_statements(checked):
        for number in numbers:
            quote, score = _best_quote(statement, passages[number - 1].text)
            if number not in quotes or score > quotes[number][1]:
                quotes[number] = quote, score
    return checked, tuple(
        _citation(number, passages[number - 1], *quotes[number]) for number in sorted(quotes)
    )


def _kept(run: re.Match[str], given: int) -> str:
    numbers = dict.fromkeys(int(number) for number in _NUMBER.findall(run["marks"]))
    marks = "".join(f"[{number}]" for number in numbers if 1 <= number <= given)
    return run["space"] + marks if marks else ""


def _cited_statements(text: str) -> list[tuple[str, list[int]]]:
    """Each sentence that cites, without its marks, and what it cites; bare marks belong to the one before."""
    found: list[tuple[str, list[int]]] = []
    before = ""
    for start, end in sentence_spans(text):
        sentence = text[start:end]
        numbers = [int(number) for number in _CHECKED.findall(sentence)]
        statement = _CHECKED.sub("", sentence).strip()
        if any(map(str.isalnum, statement)):
            before = statement
        if numbers:
            found.append((before, numbers))
    return found


def _best_quote(statement: str, text: str) -> tuple[str, float]:
    if statement and statement in text:
        return statement, 1.0
    asked = set(terms(statement))
    best, most = (0, 0), -1
    for start, end in sentence_spans(text):
        shared = len(asked.intersection(terms(text[start:end])))
        if shared > most:
            best, most = (start, end), shared
    return text[best[0] : best[1]], round(max(most, 0) / len(asked), 3) if asked else 0.0


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
