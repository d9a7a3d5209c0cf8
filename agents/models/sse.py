"""Decodes server-sent events from pieces that may be cut anywhere. Pure.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html. Ids and reconnection times
are ignored: a model's stream cannot be resumed.
"""

import re
from dataclasses import dataclass

# A carriage return at the end may be the first half of a CRLF: it waits for the next piece.
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event; `data` are bytes, which are cut at line ends and so never inside a character."""

    name: str
    data: bytes


class EventDecoder:
    """Takes the pieces of one stream in order and returns the events that each piece completes."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._name = ""
        self._data: list[bytes] = []
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
            if not line:
                if self._data:
                    events.append(ServerEvent(self._name or "message", b"\n".join(self._data)))
                self._name, self._data = "", []
                continue
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"data":
                self._data.append(value)
            elif field == b"event":
                self._name = value.decode(errors="replace")
        return events
