"""An answer checked against what it was given: its citations, what it rests on, its warnings. Pure."""

from collections.abc import Callable, Sequence
from functools import cache

from msgspec import Struct

from agents.citing.abstention import abstains
from agents.citing.marks import Mark, read_marks
from agents.citing.statements import Statement, statements_of
from agents.citing.support import SUPPORTED, Quote, best_quote, content_of, missing_numbers
from agents.components import Copy, Passage
from agents.embeddings.likeness import Likeness
from schemas.answer import AnswerGrounding, Citation, ToolCall, Verdict
from schemas.errors import WarningCode

TOLD_NUMBERS = 5
"""Numbers that a warning names."""
RESULT_MAX = 12_000
"""Characters of a tool's result that are compared."""


class Given(Struct, frozen=True):
    """All that an answer may rest on: passages, tool calls, and the texts of the question and its history.

    `likeness`: which words of the answer its passages mean in another language; None: nobody compared them.
    """

    passages: Sequence[Passage] = ()
    tool_calls: Sequence[ToolCall] = ()
    asked: Sequence[str] = ()
    likeness: Likeness | None = None


class Checked(Struct, frozen=True):
    """A checked answer."""

    text: str
    citations: tuple[Citation, ...]
    grounding: AnswerGrounding
    warnings: tuple[str, ...]


def check_answer(text: str, given: Given) -> Checked:
    """Return the answer with valid citations only, and what each of its statements rests on.

    A quote is an exact substring of its chunk: the sentence, item or row that holds most of the statement. A
    passage that several statements cite has a citation for each quote, in the order of the text.
    """
    checked, marks = read_marks(text, [passage.text for passage in given.passages])
    statements = statements_of(checked, marks)
    # Cached, because an answer can say the same in hundreds of statements.
    quote = cache(lambda said, number: best_quote(said, given.passages[number - 1], given.likeness))
    quotes: dict[tuple[int, str], Quote] = {}
    for statement in statements:
        for number in statement.numbers:
            found = quote(_compared(statement), number)
            known = quotes.get((number, found.text))
            if known is None or found.support < known.support:
                quotes[number, found.text] = found
    results = [_written(call) for call in given.tool_calls if call.status == "ok"]
    numbers = _unknown_numbers(checked, marks, given, results)
    weak = sorted({number for (number, _), found in quotes.items() if found.support < SUPPORTED})
    citations = tuple(
        citation
        for (number, _), found in sorted(quotes.items(), key=lambda cited: cited[0][0])
        for citation in _citations(number, given.passages[number - 1], found)
    )
    supported, claimed = _weighed(statements, quote, results, numbers)
    grounding = _grounding(
        supported, claimed, cited=bool(citations or results), doubted=bool(weak or numbers)
    )
    return Checked(checked, citations, grounding, _warnings(weak, numbers))


def _compared(statement: Statement) -> str:
    """Return the part of a sentence before its mark, or all of it if the part says too little by itself."""
    content = content_of(statement.said)
    return statement.said if len(content.words) + len(content.numbers) > 1 else statement.sentence


def _weighed(
    statements: Sequence[Statement],
    quote: Callable[[str, int], Quote],
    results: Sequence[str],
    unknown: Sequence[str],
) -> tuple[int, int]:
    """Return the characters of the statements that are supported, and of all that claim something."""
    supported = claimed = 0
    following: tuple[int, ...] = ()
    for statement in reversed(statements):
        following = statement.numbers or following
        if not statement.numbers and _claims_nothing(statement):
            continue
        length = statement.end - statement.start
        claimed += length
        if not any(number in statement.said for number in unknown) and (
            any(quote(_compared(statement), number).support >= SUPPORTED for number in following)
            or (not statement.numbers and _is_told(statement, results))
        ):
            supported += length
    return supported, claimed


def _claims_nothing(statement: Statement) -> bool:
    said = statement.said.strip()
    return said.endswith((":", "：", "?", "？")) or said.startswith("#") or abstains(said)


def _is_told(statement: Statement, results: Sequence[str]) -> bool:
    """Whether a tool's result has most of a statement, and each of its numbers."""
    asked = content_of(statement.said)
    for result in results:
        told = content_of(result)
        if all(number & told.forms for number in asked.numbers) and (
            2 * len(asked.words & told.words) >= len(asked.words) or asked.numbers
        ):
            return True
    return False


def _written(call: ToolCall) -> str:
    return f"{call.name.replace('_', ' ')} {call.arguments} {call.result}"[:RESULT_MAX]


def _unknown_numbers(text: str, marks: Sequence[Mark], given: Given, results: Sequence[str]) -> list[str]:
    """Return the numbers of the text that nothing has that was given."""
    bare = text
    for mark in reversed(marks):
        bare = bare[: mark.start] + bare[mark.end :]
    if not any(map(str.isdecimal, bare)):
        return []
    texts = [*results, *given.asked]
    for passage in given.passages:
        texts += (passage.text, passage.title, *passage.headings)
    forms = frozenset().union(*(content_of(each).forms for each in texts))
    return missing_numbers(bare, forms)


def _grounding(supported: int, claimed: int, *, cited: bool, doubted: bool) -> AnswerGrounding:
    verdict: Verdict = "partly"
    if not claimed:
        # An answer that cites or calls claims at least what it cites or calls.
        verdict = "supported" if cited and not doubted else "abstained"
    elif not supported:
        verdict = "unsupported"
    elif supported == claimed and not doubted:
        verdict = "supported"
    return AnswerGrounding(
        verdict, round(supported / claimed, 3) if claimed else float(verdict == "supported")
    )


def _warnings(weak: Sequence[int], numbers: Sequence[str]) -> tuple[str, ...]:
    warnings = []
    if weak:
        marks = ", ".join(f"[{number}]" for number in weak)
        warnings.append(f"{WarningCode.UNSUPPORTED_CITATION}: {marks} has less than half of what cites it")
    if numbers:
        told = ", ".join(numbers[:TOLD_NUMBERS])
        warnings.append(f"{WarningCode.UNSUPPORTED_NUMBER}: no source has {told}")
    return tuple(warnings)


def _citations(number: int, passage: Passage, quote: Quote) -> list[Citation]:
    """Return the citation of a passage, and of each other document that holds its text."""
    own = Copy(passage.chunk_id, passage.document_id, passage.title, passage.source)
    return [
        Citation(
            index=number,
            document_id=copy.document_id,
            chunk_id=copy.chunk_id,
            title=copy.title,
            source=copy.source,
            quote=quote.text,
            score=quote.score,
            support=quote.support,
        )
        for copy in (own, *passage.copies)
    ]
