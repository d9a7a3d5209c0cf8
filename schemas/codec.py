"""Encode messages, and decode them with errors that name the problem.

Decoding raises `DecodeError` for any bytes that are no message, and nothing else. Every decoded message can
be encoded again: nesting is bounded, because both directions recurse and an answer echoes its question's
metadata.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import NoneType
from typing import Any, ClassVar, Protocol, TypeVar

import msgspec
from msgspec import Struct

from schemas.answer import Answer
from schemas.control import Cancel
from schemas.dialects import foreign_frame, plain_json, without_nulls
from schemas.document import Document
from schemas.errors import ErrorCode
from schemas.event import AnswerDelta, QuestionTrace
from schemas.feedback import Feedback
from schemas.history import Warn, usable_turns
from schemas.journal import JournalEntry
from schemas.question import TEXT_MAX, Question

IDENTIFIER_MAX = 128
"""Longest question id, conversation id and tenant, in characters."""

NESTING_MAX = 100
"""Deepest list or object in a message. The bound also keeps answers readable by JSON parsers with limits."""

M = TypeVar("M", bound=Struct)
M_co = TypeVar("M_co", bound=Struct, covariant=True)


@dataclass(frozen=True, slots=True)
class Salvaged:
    """The parts that could be read of a question that cannot be decoded; None for the others.

    Each part is valid: text of 1-128 characters that UTF-8 can carry.
    """

    question_id: str | None = None
    conversation_id: str | None = None
    tenant: str | None = None


class DecodeError(ValueError):
    """A record's value is not the message it should be.

    Attributes:
        code: the error code of the failed answer.
        message: the problem, with the name of the field if there is one.
        salvaged: the parts that could be read.
    """

    code: ClassVar[ErrorCode]

    def __init__(self, message: str, salvaged: Salvaged | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.salvaged = salvaged or Salvaged()


class UndecodableError(DecodeError):
    """Not JSON in UTF-8: null, truncated, bad bytes, NaN, or nested too deeply to be read."""

    code = ErrorCode.UNDECODABLE


class InvalidError(DecodeError):
    """JSON, but not this message: a field is missing, of the wrong type or out of bounds."""

    code = ErrorCode.INVALID


class TooLargeError(DecodeError):
    """A question whose text is longer than `TEXT_MAX` characters."""

    code = ErrorCode.TOO_LARGE


_SCALARS = (str, int, float, NoneType)

encode: Callable[[Struct], bytes] = msgspec.json.Encoder().encode
"""Return the message as JSON in UTF-8; floats that are not finite become null.

Raises:
    TypeError: an open field (`metadata`, `arguments`, `result`) holds something that JSON cannot express.
"""


class Decode(Protocol[M_co]):
    """Returns the message in a record's value, and tells `warn` of parts that were left out.

    Raises:
        DecodeError: it holds no such message.
    """

    def __call__(self, value: bytes | None, warn: Warn = ..., /) -> M_co:
        """Decode a value."""
        ...


def _ignore(_: str) -> None: ...


def decoder(message: type[M]) -> Decode[M]:
    """Return the decoder of a message, which takes JSON as it is usually written, and as others write it."""
    read = msgspec.json.Decoder(message).decode

    def decode(value: bytes | None, warn: Warn = _ignore, /) -> M:
        if value is None:
            raise UndecodableError("the value is null")
        decoded: M | None
        try:
            decoded = read(value)
        except (ValueError, RecursionError):
            decoded = None
        if decoded is None:  # outside, so that no error drags the first one along
            decoded = _read_again(value, message, read, warn)
        # Counting brackets is far cheaper than walking the message, and few messages have so many.
        if value.count(b"{") + value.count(b"[") > NESTING_MAX:
            _refuse_deep_nesting(decoded, value)
        return decoded

    return decode


decode_answer = decoder(Answer)
decode_cancel = decoder(Cancel)
decode_delta = decoder(AnswerDelta)
decode_document = decoder(Document)
decode_feedback = decoder(Feedback)
decode_journal_entry = decoder(JournalEntry)
decode_question = decoder(Question)
"""Return the question in a record's value, or raise `UndecodableError`, `InvalidError` or `TooLargeError`."""
decode_trace = decoder(QuestionTrace)


def _read_again(value: bytes, message: type[M], read: Callable[[bytes], M], warn: Warn) -> M:
    """Decode a value that is not as our own programs write it."""
    value = plain_json(value)
    try:
        try:
            found = msgspec.json.decode(value)
        except msgspec.ValidationError:
            return read(value)  # a number that is out of range: this reader names its field
        if message is Question and isinstance(found, dict) and isinstance(found.get("history"), list):
            found["history"] = usable_turns(found["history"], warn)
        return msgspec.convert(without_nulls(found, message), message)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), value) from None
    except RecursionError:
        raise UndecodableError("nested too deeply to be read") from None
    except ValueError as error:  # malformed JSON, and UnicodeDecodeError for bytes that are not UTF-8
        problem, inner = foreign_frame(value) or (str(error), value)
        raise UndecodableError(f"not JSON in UTF-8: {problem}", _salvage(inner)) from None


def _refusal(problem: str, value: bytes) -> DecodeError:
    detail, _, path = problem.partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    if field == "text" and detail == f"Expected `str` of length <= {TEXT_MAX}":
        return TooLargeError(f"text: longer than {TEXT_MAX} characters", _salvage(value))
    if detail == r"Expected `str` matching regex '\\S'":
        detail = "Expected text that is not blank"
    return InvalidError(f"{field}: {detail}" if field else detail, _salvage(value))


def _refuse_deep_nesting(message: Struct, value: bytes) -> None:
    level: list[Any] = [message]
    for _ in range(NESTING_MAX):
        level = [inner for outer in level for inner in _members(outer) if not isinstance(inner, _SCALARS)]
        if not level:
            return
    raise InvalidError(f"nested more than {NESTING_MAX} levels deep", _salvage(value))


def _members(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, Struct):
        return (getattr(value, name) for name in value.__struct_fields__)
    return ()


def _salvage(value: bytes) -> Salvaged:
    try:
        # The standard library is more lenient than the decoder: it takes NaN, for one.
        found = json.loads(value)
    except (ValueError, RecursionError):
        return Salvaged()
    if not isinstance(found, dict):
        return Salvaged()
    return Salvaged(
        _identifier(found.get("id")),
        _identifier(found.get("conversation_id")),
        _identifier(found.get("tenant")),
    )


def _identifier(value: object) -> str | None:
    if not isinstance(value, str) or not 1 <= len(value) <= IDENTIFIER_MAX:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value
