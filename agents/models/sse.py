"""Decodes server-sent events from pieces that may be cut anywhere. Pure.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html. Ids and reconnection times
are ignored: a model's stream cannot be resumed. Lines outside the standard are read too, because servers tell
their failures there: a field `error`, bare JSON, and stray lines that are no field at all, such as a page.
"""

import re
from dataclasses import dataclass

# A carriage return at the end may be the first half of a CRLF: it waits for the next piece.
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")
_BOM = b"\xef\xbb\xbf"
_FIELDS = (b"data", b"event", b"error", b"retry", b"id", b":")
_FIELD_MAX = max(map(len, _FIELDS)) + 1
_ERROR = "error"
_STRAY = "stray"
_BLANKS = b" \t\0"
_KNOWN = (b"data:", b"event:", b"error:", b"retry:", b"id:", b":")
_NAME = re.compile(rb"[\w.-]+\Z")
_SIGN_OF_LIFE = re.compile(rb"\W*(?:ping|pong|heart[-_ ]?beat|keep[-_ ]?alive|alive)\W*", re.IGNORECASE)


def is_sign_of_life(text: bytes) -> bool:
    """Whether a text, or an event's name, only keeps the connection open."""
    return _SIGN_OF_LIFE.fullmatch(text) is not None


def begins_events(body: bytes) -> bool | None:
    """Whether a body that begins so is a stream of events, of any Content-Type; None: too early to say."""
    begun = body.removeprefix(_BOM).lstrip()
    for field in _FIELDS:
        rest = begun[len(field) : len(field) + 1]
        if begun.startswith(field) and (field == b":" or rest in {b":", b"\n", b"\r"}):
            return True
    return False if len(begun) >= _FIELD_MAX or begun[:1] in {b"{", b"[", b"<"} else None


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event; `data` are bytes, which are cut at line ends and so never inside a character."""

    name: str
    data: bytes

    @property
    def is_error(self) -> bool:
        """Whether the server calls it an error."""
        return self.name.strip().lower() == _ERROR

    @property
    def is_stray(self) -> bool:
        """Whether its lines stood in the stream without a field."""
        return self.name == _STRAY

    @property
    def is_sign_of_life(self) -> bool:
        """Whether the server sends it only to keep the connection open."""
        return is_sign_of_life(self.name.encode())


class EventDecoder:
    """Takes the pieces of one stream in order and returns the events that each piece completes."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._name = ""
        self._data: list[bytes] = []
        self._stray: list[bytes] = []
        self._begun = False

    def feed(self, piece: bytes) -> list[ServerEvent]:
        """Return the events that this piece completes."""
        self._pieces.append(piece)
        # Joined only if there may be a whole line: else a long line in many pieces is joined many times.
        if b"\n" not in piece and b"\r" not in piece and not self._pieces[0].endswith(b"\r"):
            return []
        *lines, rest = _LINE_END.split(b"".join(self._pieces))
        self._pieces = [rest]
        return self._take(lines)

    def close(self) -> list[ServerEvent]:
        """Return the event that the stream's end completes: servers omit the empty line after the last."""
        lines = b"".join(self._pieces).removesuffix(b"\r").split(b"\n")
        self._pieces = []
        return self._take([*lines, b""])

    def _take(self, lines: list[bytes]) -> list[ServerEvent]:
        events: list[ServerEvent] = []
        for raw in lines:
            line = raw if self._begun else raw.removeprefix(_BOM)
            self._begun = True
            if self._is_stray(line):
                self._stray.append(line)
                continue
            if self._stray:
                events.append(ServerEvent(_STRAY, b"\n".join(self._stray)))
                self._stray = []
            if not line:
                # An event without data is none, but an error needs no words.
                if self._data or self._name == _ERROR:
                    events.append(ServerEvent(self._name or "message", b"\n".join(self._data)))
                self._name, self._data = "", []
                continue
            line = line.lstrip(_BLANKS)
            if line.startswith((b"{", b"[")):
                events.append(ServerEvent("message", line))
                continue
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"error":
                events.append(ServerEvent(_ERROR, value))
            elif field == b"data":
                self._data.append(value)
            elif field == b"event":
                self._name = value.decode(errors="replace")
        return events

    def _is_stray(self, line: bytes) -> bool:
        """Whether a line is no field and no whole JSON; a text of several such lines is one event."""
        if line.startswith((b"data:", b":")) or not (line := line.lstrip(_BLANKS)):
            return False
        if line.startswith(_KNOWN):
            return False
        if self._stray:
            return True
        if line.startswith((b"{", b"[")):
            return not line.endswith((b"}", b"]"))
        return _NAME.match(line.partition(b":")[0]) is None
