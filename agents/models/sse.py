"""Server-sent events, decoded from pieces that may be cut anywhere. Pure.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html. Ids and reconnection times
are left out: no model's stream can be resumed.
"""

import re
from dataclasses import dataclass

# A carriage return at the end may be the first half of a CRLF: it waits for what follows.
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event; `data` as bytes, because it is cut at line ends and never inside a character."""

    name: str
    data: bytes


class EventDecoder:
    """Takes the pieces of one stream in order, and gives the events that each completes."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._name = ""
        self._data: list[bytes] = []
        self._begun = False

    def feed(self, piece: bytes) -> list[ServerEvent]:
        """The events that are complete with this piece."""
        self._pieces.append(piece)
        # Joined only when there may be a whole line: a long line that dribbles in costs no more.
        if b"\n" not in piece and b"\r" not in piece and not self._pieces[0].endswith(b"\r"):
            return []
        *lines, rest = _LINE_END.split(b"".join(self._pieces))
        self._pieces = [rest]
        return self._take(lines)

    def close(self) -> list[ServerEvent]:
        """What the stream's end completes: servers forget the empty line after the last event."""
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
