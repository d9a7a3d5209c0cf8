"""Takes a model's reasoning out of its text, whole or as it streams. Pure.

Servers without a parser for reasoning leave it in the text, between marks: `<think>…</think>` and its like,
or the channels of OpenAI's harmony format, of which only `final` is the answer. A mark may be cut anywhere
between two pieces, so the end of a piece that may begin a mark is held back until the next piece. A mark in
quotes or backticks is spoken about, and stays text.

Some chat templates open the block themselves, so that a reply has only the closing mark. All before it was
reasoning, and looked like the answer. The caller remembers the habit of a model (`opened_before`). Until it
is known that a model has none, the text of a stream is withheld until the mark or the end comes.
"""

import re
from enum import Enum, auto

from agents.json_values import SURROGATE, mended
from agents.models.thought_marks import MARK, PARTIAL, SIGNS

_QUOTES = "`'\"‘“«"
_RECIPIENT = re.compile(r"\bto=([\w.:-]+)")


# Harmony's channels without its marks, which some servers take out: `analysisHm.assistantfinalYes.`
_BARE_CHANNEL = re.compile(r"analysis(?=[A-Z])")
_BARE_BEGIN, _BARE_FINAL = "analysis", "assistantfinal"


def is_answer_alone(text: str) -> bool:
    """Whether a whole text, without blanks before it, is the answer as it stands."""
    # No mark begins otherwise, and the search for marks takes twenty times as long as these.
    marked = "<" in text or "[T" in text or "[t" in text or "[/" in text or "◁" in text
    if marked and MARK.search(text):
        return False
    return not _BARE_CHANNEL.match(text) and (text.isascii() or not SURROGATE.search(text))


class _State(Enum):
    SAYING = auto()
    WITHHELD = auto()
    THINKING = auto()
    HEADER = auto()
    CALLING = auto()
    BETWEEN = auto()


class Habit(Enum):
    """Whether the replies of a model begin with reasoning that only a closing mark ends."""

    UNKNOWN = auto()
    ANSWERS_FIRST = auto()
    THINKS_FIRST = auto()


class ThoughtFilter:
    """Takes the pieces of one text in order, and returns the parts of each that are the answer.

    Attributes:
        thought: whether there was reasoning.
        opened_before: whether the reasoning had a closing mark only.
        calls: the tool calls in harmony's format, as (name, arguments).
    """

    def __init__(self, habit: Habit = Habit.ANSWERS_FIRST) -> None:
        self.thought = False
        self.opened_before = False
        self.calls: list[tuple[str, str]] = []
        self._habit = habit
        self._state = _State.SAYING if habit is Habit.ANSWERS_FIRST else _State.WITHHELD
        self._opening: str | None = ""
        self._pending = ""
        self._before = ""
        self._said: list[str] = []
        self._kept: list[str] = []
        self._fresh = True
        self._wrapped = False
        self._last = ""

    @property
    def text(self) -> str:
        """The answer as far as it was told; after the end, the whole answer."""
        return "".join(self._said)

    @property
    def cut(self) -> bool:
        """Whether the text ended inside reasoning that it had opened."""
        return self._state is _State.THINKING

    def learn(self, habit: Habit) -> str:
        """Return the withheld text if the model is now known to answer first; nothing else is forgotten."""
        if self._habit is not Habit.UNKNOWN:
            return ""
        self._habit = habit
        return self._release() if habit is Habit.ANSWERS_FIRST and self._state is _State.WITHHELD else ""

    def feed(self, piece: str) -> str:
        """Return the parts of the answer that this piece completes."""
        if self._opening is not None and not (piece := self._opened(piece)):
            return ""
        if self._state is _State.SAYING and not (self._pending or self._fresh or SIGNS.search(piece)):
            if piece:
                self._said.append(piece)
                self._last = piece[-1]
            return piece
        return self._read(self._pending + piece, final=False)

    def feed_whole(self, text: str) -> str:
        """Return the answer in a whole text, of which only `close` may follow."""
        text = text.lstrip()
        if self._state is _State.SAYING and is_answer_alone(text):
            self._opening = None
            self._said.append(text)
            return text
        if not _BARE_CHANNEL.match(text):
            self._opening = None
        return self.feed(text)

    def close(self, *, cut: bool = False) -> str:
        """Return the rest of the answer at the end of the text; `cut`: the server cut the text short."""
        if opening := self._opening:
            if _BARE_CHANNEL.match(opening):
                self.thought = True
            else:
                self._pending = opening
        self._opening = None
        if self._state is _State.SAYING and not (self._pending or self._before):
            return ""
        told = self._read(self._pending, final=True)
        if self._state is _State.WITHHELD:
            if cut and self._habit is Habit.THINKS_FIRST:
                # It was stopped in the middle of it.
                self.thought = True
            else:
                told += self._release()
        if not self.text.strip() and self._before.strip():
            # A closing mark at the very end, after an answer whose reasoning had marks of its own.
            self._said = [self._before]
        return told

    def _opened(self, piece: str) -> str:
        """Return the text behind channels without marks, once it is clear whether it begins with one."""
        before = self._opening or ""
        self._opening = text = before + piece if before else piece.lstrip()
        if _BARE_CHANNEL.match(text):
            final = text.find(_BARE_FINAL, max(0, len(before) - len(_BARE_FINAL)))
            if final < 0:
                return ""
            self.thought, self._state = True, _State.SAYING
            text = text[final + len(_BARE_FINAL) :]
        elif len(text) <= len(_BARE_BEGIN) and _BARE_BEGIN.startswith(text):
            return ""
        self._opening = None
        return text

    def _read(self, text: str, *, final: bool) -> str:
        told: list[str] = []
        at = 0
        self._pending = ""
        while mark := MARK.search(text, at):
            before = text[at : mark.start()]
            quote = before[-1:] or self._last
            if quote and quote in _QUOTES:
                if mark.end() == len(text) and not final:
                    told.append(self._take(before))
                    self._pending = mark[0]
                    return "".join(told)
                if text[mark.end() : mark.end() + 1] in {"`", "'", '"', "’", "”", "»"}:
                    told.append(self._take(before + mark[0]))
                    at = mark.end()
                    continue
            told += [self._take(before), self._pass(mark)]
            self._last = ""
            at = mark.end()
        rest = text[at:]
        if not final and (held := PARTIAL.search(rest)):
            self._pending = rest[held.start() :]
            rest = rest[: held.start()]
        told.append(self._take(rest))
        return "".join(told)

    def _take(self, text: str) -> str:
        if not text:
            return ""
        self._last = text[-1]
        match self._state:
            case _State.SAYING:
                return self._say(text)
            case _State.WITHHELD | _State.HEADER:
                self._kept.append(text)
            case _State.CALLING:
                name, arguments = self.calls[-1]
                self.calls[-1] = (name, arguments + text)
            case _State.THINKING | _State.BETWEEN:
                pass
        return ""

    def _say(self, text: str) -> str:
        if self._fresh:
            text = text.lstrip()
            self._fresh = not text
        if text:
            self._said.append(text := mended(text))
        return text

    def _pass(self, mark: re.Match[str]) -> str:
        """Change the state at a mark; return the text that was withheld until it."""
        named = mark["harmony"]
        if named:
            return self._pass_harmony(named.lower())
        if mark["wrap"]:
            return self._pass_wrapping(mark)
        if any(mark[f"close{number}"] for number in ("", 2, 3, 4, 5, 6, 7)):
            self._close_thought()
        elif mark["open6"] or ("solution" not in (whole := mark[0].lower()) and "response" not in whole):
            return self._open_thought()
        return ""

    def _pass_wrapping(self, mark: re.Match[str]) -> str:
        """Leave out the marks around an answer behind reasoning; elsewhere they are its text."""
        if self._state is _State.SAYING and self.thought and self._fresh and not mark["wrap_end"]:
            self._wrapped = True
            return ""
        if self._wrapped and mark["wrap_end"]:
            self._wrapped = False
            return ""
        return self._take(mark[0])

    def _open_thought(self) -> str:
        told = self._release() if self._state is _State.WITHHELD else ""
        if self._state in {_State.SAYING, _State.BETWEEN}:
            self.thought = True
            self._state = _State.THINKING
        return told

    def _close_thought(self) -> None:
        if self._state in {_State.SAYING, _State.WITHHELD}:
            self.opened_before = self.opened_before or not self.thought
            self._before = self.text if self.thought else ""
            self._said = []
        self._kept = []
        self.thought = True
        self._state = _State.SAYING
        self._fresh = True

    def _pass_harmony(self, name: str) -> str:
        told = self._release() if self._state is _State.WITHHELD and name != "message" else ""
        match name:
            case "start":
                self._state, self._kept = _State.HEADER, []
            case "channel" | "constrain":
                if self._state is not _State.HEADER:
                    self._kept = []
                self._state = _State.HEADER
                self._kept.append(f" {name} ")
            case "message":
                self._begin_message()
            case _:
                self._state = _State.BETWEEN
        return told

    def _begin_message(self) -> None:
        # A text that begins in the middle of a header: its template has written the start of it.
        kept = "".join(self._kept)
        header = kept if self._state is _State.HEADER else f" channel {self.text or kept}"
        self._kept = []
        if self._state is not _State.HEADER:
            self._said = []
        channel = re.search(r" channel\s+(\w+)", header)
        recipient = _RECIPIENT.search(header)
        if recipient and recipient[1] != "user":
            self.calls.append((recipient[1], ""))
            self._state = _State.CALLING
        elif channel and channel[1].lower() != "final":
            self.thought = True
            self._state = _State.THINKING
        else:
            self._state, self._fresh = _State.SAYING, True

    def _release(self) -> str:
        """Return the withheld text: it was the answer."""
        kept, self._kept = "".join(self._kept), []
        self._state = _State.SAYING
        return self._say(kept)
