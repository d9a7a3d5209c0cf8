"""Puts a stream's text together from pieces, of which some repeat the text before them. Pure.

Most servers send what is new. Some repeat the whole text at the end, and some send the whole text so far in
every piece. A model repeats itself too, and so does a text such as `1010`. So a piece that begins with all
of the text before it is held until it is clear which it is: pieces that only grow repeat the text, and one
that another text follows is a part of it. A whole message at the end settles it. If nothing does, the text
is `unclear`, and no answer may be made of it.
"""

_REPEATED_MIN = 8
"""Characters that a single repetition must have: a shorter one may be a part of the text."""
_GROWING_MIN = 4
"""Characters, where two pieces in a row grew."""
_PERIOD_MAX = 32
"""Characters of the longest pattern that is looked for."""


class Pieces:
    """The pieces of one text in order; each method returns what is new in the text and certain.

    `unclear` turns true if the pieces can be read in two ways.
    """

    def __init__(self) -> None:
        self.unclear = False
        self._told: list[str] = []
        self._length = 0
        self._held: list[str] = []
        self._repeats = False
        self._message = False

    def add(self, piece: str) -> str:
        """Take a piece, as a delta has it."""
        if not piece:
            return ""
        if self._held:
            return self._add_after_held(piece)
        if self._repeats or (0 < self._length <= len(piece)):
            before = self._text()
            if piece.startswith(before):
                if self._repeats:
                    return self._tell(piece[len(before) :])
                self._held.append(piece)
                return ""
            if self._repeats:
                # It may be a repetition without the spaces at the end.
                self.unclear = piece.strip() != before.strip()
                return ""
        return self._tell(piece)

    def add_message(self, content: str) -> str:
        """Take the content of a message in the stream: the whole text, or a piece of it as any other."""
        if not self._told or self._message:
            self._message = True
            return self.add(content)
        before, held = self._text(), "".join(self._held)
        whole = before + held
        if self._held and not content.startswith(whole):
            # The message is what the last piece said before.
            whole = self._held[-1] if content.startswith(self._held[-1]) else before
        if not content.startswith(whole):
            self.unclear = bool(self._held)
            return ""
        self._held = []
        return self._tell(content[len(before) :])

    def close(self) -> str:
        """Return the rest of the text, at its end."""
        held, self._held = self._held, []
        if not held:
            return ""
        before = self._text()
        repeated = [before, *held][-2]
        # If nothing grew, the last pieces are the text once more.
        if not _is_long(repeated, _REPEATED_MIN, patterned=held[-1] == before):
            self.unclear = True
            return ""
        return self._tell(held[-1][len(before) :])

    def _add_after_held(self, piece: str) -> str:
        before, held = self._text(), self._held
        grown = [one for one, later in zip([before, *held], held, strict=False) if later != one]
        if not piece.startswith(held[-1]):
            self._held = []
            if any(_is_long(one, _REPEATED_MIN) for one in grown):
                self.unclear = True
                return ""
            return self._tell("".join(held) + piece)
        if grown and piece != held[-1] and _is_long(held[-1], _GROWING_MIN):
            self._held = []
            self._repeats = True
            return self._tell(piece[len(before) :])
        held.append(piece)
        return ""

    def _tell(self, text: str) -> str:
        self._told.append(text)
        self._length += len(text)
        return text

    def _text(self) -> str:
        if len(self._told) > 1:
            self._told = ["".join(self._told)]
        return self._told[0] if self._told else ""


def _is_long(text: str, characters: int, *, patterned: bool = False) -> bool:
    """Whether a repetition of this text is one of the whole; `patterned`: though it repeats itself."""
    text = text.strip()
    if len(text) < characters:
        return False
    if patterned:
        return True
    begun = text[: 2 * _PERIOD_MAX]
    return all(begun[period:] != begun[:-period] for period in range(1, len(begun) // 2 + 1))
