"""One dead letter of any writer: its record, the place that the record came from, and its question. Pure.

Kotae, Kafka Connect, Spring and Kafka's share groups each name the original record in headers of their own.
Connect, Kotae and share groups write text; Spring writes numbers in binary. A share group copies neither
headers nor, by default, key and value: the record is then read from its original place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from schemas.codec import DecodeError, decode_question
from schemas.fingerprint import digest_of
from schemas.headers import Header
from schemas.question import Question

QuestionPlace = tuple[int, int]
"""(partition, offset) on `questions`."""
Identity = tuple[str, str, str]
"""A question's tenant, conversation and id: others may use the same id."""

NOWHERE: QuestionPlace = (-1, -1)
FOREIGN = "foreign"
"""The code of a letter that another program wrote about a record that can be decoded."""

_DISPOSITION = "qa.dlq.disposition"
_OURS = "__connect.errors."
_SPRING = ("kafka_dlt-original-", "kafka_original-")
_PLACES = (_OURS, *_SPRING, "__dlq.errors.")
"""The beginnings of the headers that end in `topic`, `partition` and `offset`; all but Spring's hold text."""
_MESSAGES = (
    "__connect.errors.exception.message",
    "kafka_dlt-exception-message",
    "kafka_exception-message",
    "__dlq.errors.message",
)
_FAILURE = (_OURS, "qa.dlq.", "kafka_dlt-", "kafka_original-", "kafka_exception-", "__dlq.errors.")
_DIGITS_MAX = 19
"""Digits of the largest offset."""
_NUMBERS = tuple(f"{prefix}{name}" for prefix in _SPRING for name in ("partition", "offset", "timestamp"))


@dataclass(frozen=True)
class Letter:
    """One record of `questions.dlq`.

    Attributes:
        timestamp_ms: the letter's own timestamp.
        questions: the name of the topic that the questions are on.
        asked_ms: the timestamp of the record that failed, if it is known.
        whole: whether key and value are those of the record that failed.
    """

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    timestamp_ms: int
    questions: str
    asked_ms: int | None = None
    whole: bool = True

    @property
    def position(self) -> str:
        """The letter's place on its topic, as commands name it: `partition/offset`."""
        return f"{self.partition}/{self.offset}"

    @cached_property
    def header_texts(self) -> Mapping[str, str]:
        """The headers as text; if a name occurs twice, the last one counts."""
        return {name: header_text(name, value or b"") for name, value in self.headers}

    @property
    def ours(self) -> bool:
        """Whether Kotae wrote the letter."""
        return _DISPOSITION in self.header_texts

    @cached_property
    def _named(self) -> tuple[QuestionPlace, int | None]:
        """The place on `questions` of the record that failed, and the timestamp that the letter gives it.

        A record may have failed on other topics too (Spring's retries), so every name is tried.
        """
        for prefix in (_OURS,) if self.ours else _PLACES:
            partition, offset, asked_ms = (
                _count(self.header_texts.get(f"{prefix}{name}", ""))
                for name in ("partition", "offset", "timestamp")
            )
            named_topic = self.header_texts.get(f"{prefix}topic")
            if named_topic == self.questions and partition is not None and offset is not None:
                return (partition, offset), asked_ms
        return NOWHERE, None

    @property
    def source(self) -> QuestionPlace:
        """The place on `questions` of the record that failed; `NOWHERE` if the letter names none there."""
        return self._named[0]

    @property
    def origin(self) -> str:
        """The place of the record that was asked first, `partition/offset`."""
        return self.header_texts.get("qa.dlq.origin") or "{}/{}".format(*self.source)

    @property
    def redrives(self) -> int:
        """How often the record had been sent back when it failed."""
        return _count(self.header_texts.get("qa.dlq.redrives", "")) or 0

    @cached_property
    def _question(self) -> Question | DecodeError:
        try:
            return decode_question(self.value)
        except DecodeError as error:
            return error

    @cached_property
    def identity(self) -> Identity | None:
        """The question's tenant, conversation and id; None if the value holds no question id."""
        question = self._question
        if isinstance(question, Question):
            return question.tenant, question.conversation_id, question.id
        salvaged = question.salvaged
        if not salvaged.question_id:
            return None
        return (
            salvaged.tenant or "default",
            salvaged.conversation_id or salvaged.question_id,
            salvaged.question_id,
        )

    @cached_property
    def content(self) -> bytes | None:
        """A digest of the question's content; None if it cannot be decoded.

        A producer may use one identity for two questions. Both then need an answer.
        """
        question = self._question
        return digest_of(question) if isinstance(question, Question) else None

    @property
    def question_id(self) -> str | None:
        """The question's id; None if the value holds none."""
        return self.identity and self.identity[2]

    @property
    def code(self) -> str:
        """The disposition; if another program wrote the letter, why it cannot be decoded, or `FOREIGN`."""
        if self.ours:
            return self.header_texts[_DISPOSITION]
        return self._question.code if isinstance(self._question, DecodeError) and self.whole else FOREIGN

    @property
    def message(self) -> str:
        """The failure, as the program that wrote the letter says it."""
        return next((self.header_texts[name] for name in _MESSAGES if self.header_texts.get(name)), "")

    @property
    def redriven_headers(self) -> list[Header]:
        """The headers of the record that is sent back.

        They leave out the letter's headers about the failure, and an absolute deadline, which has passed.
        """
        kept = [
            (name, value)
            for name, value in self.headers
            if not name.startswith(_FAILURE) and name != "ce_expirytime"
        ]
        return [
            *kept,
            ("qa.dlq.origin", self.origin.encode()),
            ("qa.dlq.redrives", b"%d" % (self.redrives + 1)),
        ]

    @property
    def needs_original(self) -> bool:
        """Whether to look for the record at its original place: others do not keep it byte for byte."""
        return not self.ours and self.source != NOWHERE

    def restored(self, original: "OriginalRecord | None", *, skew_ms: int) -> "Letter":
        """Return the letter with its record as it was asked; `original` is what its place holds now.

        If `questions` was made anew, another record is there. It must be no younger than the letter, but for
        `skew_ms` of clocks, have the timestamp that the letter names, and not be another question.
        """
        asked_ms = self._named[1]
        if original is not None:
            found = replace(
                self,
                key=original.key,
                value=original.value,
                headers=(*original.headers, *(one for one in self.headers if one[0].startswith(_FAILURE))),
                asked_ms=original.timestamp_ms,
            )
            if (
                original.timestamp_ms <= self.timestamp_ms + skew_ms
                and asked_ms in {None, original.timestamp_ms}
                and (self.identity is None or self.identity == found.identity)
            ):
                return found
        return replace(self, asked_ms=asked_ms, whole=self.value is not None)


@dataclass(frozen=True, slots=True)
class OriginalRecord:
    """A record of `questions` as it is there now."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]
    timestamp_ms: int


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX else None


def header_text(name: str, value: bytes) -> str:
    """Return a header's value as text: Spring's numbers in decimal, bytes that are not UTF-8 replaced."""
    # Spring's numbers are big endian. Programs that wrote them as text were seen, too.
    if name in _NUMBERS and len(value) in {4, 8} and not value.isdigit():
        return str(int.from_bytes(value, signed=True))
    return value.decode(errors="replace")
