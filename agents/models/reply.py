"""Reads one completion of a server, whole or in chunks, into a `Reply`. Pure.

A deviation from https://platform.openai.com/docs/api-reference/chat is read if its meaning is certain; any
other one raises a `DependencyError`. A server cannot cause any other error. A stream's chunks add up to the
fields of a whole message, so that one judgement (`agents.models.completion`) holds for both.
"""

import re
from typing import Any

from msgspec import Struct

from agents.errors import BadOutputError, TransientError
from agents.http.problems import TOLD_MAX, error_told, is_error, told_by
from agents.json_values import mended, read_json
from agents.models.finish import Ending, ending_of
from agents.models.message_content import content_of
from agents.models.pieces import Pieces
from agents.models.sse import ServerEvent, is_sign_of_life
from agents.models.thoughts import Habit, ThoughtFilter
from agents.models.tool_calls import entries_of
from schemas.answer import Usage

_DONE = re.compile(rb'"?\[?DONE\]?"?', re.IGNORECASE)
_DONE_MAX = len('"[DONE]"')
THOUGHT_FIELDS = frozenset({"reasoning_content", "reasoning", "thinking", "reasoning_details"})
"""The fields of a message in which servers tell its reasoning."""


class Reply(Struct, frozen=True):
    """The parts of one reply.

    `text` is without reasoning. `calls` are the tool calls as the server wrote them. `cut` and `filtered`:
    the server says that the text is incomplete. `thought`: there was reasoning; `opened_before`: see
    `agents.models.thoughts`.
    """

    text: str = ""
    calls: tuple[Any, ...] = ()
    refusal: str = ""
    cut: bool = False
    filtered: bool = False
    wants_calls: bool = False
    thought: bool = False
    opened_before: bool = False
    model: str = ""
    usage: Usage = Usage()


class ReplyReading:
    """One reply in the making. `done` turns true when the server says that nothing follows.

    `complete`: the server named the reason for the end, and no text has come after it.
    """

    def __init__(self, dependency: str, habit: Habit = Habit.ANSWERS_FIRST) -> None:
        self.done = False
        self._dependency = dependency
        self._filter = ThoughtFilter(habit)
        self._pieces = Pieces()
        self._calls: list[dict[str, Any]] = []
        self._older: dict[str, Any] = {}
        self._refusal: list[str] = []
        self._ending = Ending.NONE
        self._ended = self._went_on = self._counted = self._broken_off = False
        self._thought = False
        self._model = ""
        self._usage = Usage()

    @property
    def complete(self) -> bool:
        """See the class."""
        return self._ended and not self._went_on

    def feed(self, event: ServerEvent) -> str:
        """Return the piece of the answer in an event, "" if it has none. Raises an error event's error."""
        data = event.data.strip()
        if event.is_error:
            raise self._failed(data)
        if not data:
            return ""
        if len(data) <= _DONE_MAX and _DONE.fullmatch(data):
            # llama-cpp-python writes it where it breaks a stream off for another request, too.
            self._broken_off = not (self._ended or self._counted)
            self.done = self._ended = True
            return ""
        try:
            chunk = read_json(data)
        except ValueError as error:
            if b"\n" in data and not event.is_stray:  # events that no empty line parts
                return "".join([self.feed(ServerEvent(event.name, line)) for line in data.split(b"\n")])
            if event.is_stray:
                raise self._failed(data) from error
            if event.is_sign_of_life or is_sign_of_life(data):
                return ""
            raise BadOutputError(
                self._dependency, f"did not answer in JSON: {told_by(data) or error}"
            ) from error
        if isinstance(chunk, list) and len(chunk) == 1:
            (chunk,) = chunk  # Gemini's errors
        if isinstance(chunk, dict):
            return self.take(chunk)
        if chunk in (None, []) or event.is_sign_of_life or is_sign_of_life(data.strip(b'"')):
            return ""
        raise BadOutputError(self._dependency, "did not answer with a JSON object")

    def take(self, content: dict[str, Any], *, whole: bool = False) -> str:
        """Take a completion or a chunk of one; return its piece of the answer."""
        if is_error(content):
            raise error_told(self._dependency, content, "failed" if whole else "failed midway")
        model = content.get("model")
        if isinstance(model, str) and model:
            self._model = model if model.isascii() else mended(model)
        choice = _counting_choice(content, whole=whole)
        for place in (content, content.get("x_groq"), choice):
            if isinstance(place, dict) and isinstance(place.get("usage"), dict):
                self._usage = _usage(place["usage"]) or self._usage
        if choice is None:
            self._counted = self._counted or "usage" in content
            if whole:
                raise BadOutputError(self._dependency, "answered without choices")
            return ""
        message, delta = choice.get("message"), choice.get("delta")
        for place in (choice, delta, message):
            if isinstance(place, dict) and place.get("error"):
                raise error_told(self._dependency, place, "failed midway")
        told = ""
        if isinstance(delta, dict) and delta:
            told = self._add(delta, whole=False, alone=whole)
        elif isinstance(message, dict):
            told = self._add(message, whole=True, alone=whole)
            self._ended = self._ended or whole
        elif whole:
            raise BadOutputError(self._dependency, "answered without a message")
        self._end(choice)
        return told

    def learn(self, habit: Habit) -> str:
        """Return the text that was withheld, if the model is now known to answer first."""
        return self._filter.learn(habit)

    def close(self) -> str:
        """Return the rest of the answer after the last event."""
        rest = self._pieces.close()
        return (self._filter.feed(rest) if rest else "") + self._filter.close(
            cut=self._broken_off or self._ending is Ending.CUT
        )

    def reply(self) -> Reply:
        """Return the whole after its end; BadOutputError: the stream ended before the answer did."""
        if not self._ended:
            raise BadOutputError(self._dependency, "the stream ended before the answer did")
        told = self._filter
        cut = self._broken_off or self._ending is Ending.CUT
        self.close()
        self._check_pieces()
        text = told.text
        calls = self._calls
        if told.calls:
            calls = [*calls, *({"name": name, "arguments": body} for name, body in told.calls)]
        if self._older and not calls:
            calls = [self._older]
        return Reply(
            text=text,
            calls=tuple(calls),
            refusal=mended("".join(self._refusal)).strip() if self._refusal else "",
            # Reasoning that the text opened and did not close has swallowed the rest of an answer.
            cut=cut or (told.cut and bool(text.strip())),
            filtered=self._ending is Ending.FILTERED,
            wants_calls=self._ending is Ending.CALLS,
            thought=self._thought or told.thought,
            opened_before=told.opened_before,
            model=self._model,
            usage=self._usage,
        )

    def _failed(self, data: bytes) -> Exception:
        try:
            content = read_json(data)
        except ValueError:
            content = told_by(data)
        return error_told(self._dependency, content, "failed midway")

    def _end(self, choice: dict[str, Any]) -> None:
        reason = choice.get("finish_reason")
        if reason is None and isinstance(details := choice.get("finish_details"), dict):
            reason = details.get("type")
        ending = ending_of(reason)
        if ending is Ending.NONE:
            return
        if ending is Ending.BROKEN:
            raise TransientError(
                self._dependency, f"broke the answer off: {mended(str(reason))[:TOLD_MAX].lower()}"
            )
        self._ending, self._ended = ending, True

    def _add(self, message: dict[str, Any], *, whole: bool, alone: bool) -> str:
        """Add a delta or a message; `alone`: it is all of the reply."""
        thinks = not THOUGHT_FIELDS.isdisjoint(message) and any(map(message.get, THOUGHT_FIELDS))
        self._thought |= thinks
        text, refusal = content_of(message)
        if refusal and not (whole and self._refusal):
            self._refusal.append(refusal)
        self._add_calls(message, whole=whole)
        if not whole and (text or thinks):
            self._went_on |= self._ended  # a reason in every chunk tells of no end
        # A server that tells reasoning apart leaves none in the text.
        told = self.learn(Habit.ANSWERS_FIRST) if thinks else ""
        if not text:
            return told
        if alone:
            return told + self._filter.feed_whole(text)
        text = self._pieces.add_message(text) if whole else self._pieces.add(text)
        self._check_pieces()
        return told + self._filter.feed(text) if text else told

    def _check_pieces(self) -> None:
        if self._pieces.unclear:
            problem = "it cannot be told whether the stream's pieces repeat the text or continue it"
            raise BadOutputError(self._dependency, problem)

    def _add_calls(self, message: dict[str, Any], *, whole: bool) -> None:
        if whole:
            if not self._calls and not self._older:
                self._calls = entries_of(message)
            return
        older = message.get("function_call")
        if isinstance(older, dict):
            _join(self._older, older)
        parts = message.get("tool_calls")
        for part in parts if isinstance(parts, list) else ():
            self._add_call(part)

    def _add_call(self, part: Any) -> None:
        function = part.get("function") if isinstance(part, dict) else None
        if not isinstance(function, dict):
            self._calls.append(part)
            return
        index, identifier = part.get("index"), part.get("id")
        for call in reversed(self._calls):
            if isinstance(call, dict) and "function" in call:
                same = call.get("index") == index if isinstance(index, int) else not function.get("name")
                if same and (not identifier or call.get("id") in (None, "", identifier)):
                    call["id"] = call.get("id") or identifier
                    _join(call["function"], function)
                    return
        joined: dict[str, Any] = {}
        _join(joined, function)
        self._calls.append({"index": index, "id": identifier, "function": joined})


def _join(whole: dict[str, Any], part: dict[str, Any]) -> None:
    """Add a piece of a function's name and arguments to the ones before."""
    name, arguments = part.get("name"), part.get("arguments")
    told = whole.get("name")
    if name and name != told:  # some servers repeat it in every piece
        whole["name"] = told + name if isinstance(told, str) and isinstance(name, str) else name
    if isinstance(arguments, str) and isinstance(whole.get("arguments"), str):
        whole["arguments"] += arguments
    elif arguments:
        whole["arguments"] = arguments


def _counting_choice(content: dict[str, Any], *, whole: bool) -> dict[str, Any] | None:
    """Return the choice that counts: a server may send several, of which we asked for one."""
    choices = content.get("choices")
    if not isinstance(choices, list) or not choices:
        return None
    if len(choices) == 1 and isinstance(choices[0], dict):
        return choices[0] if whole or choices[0].get("index") in (0, None, "0") else None
    found = [choice for choice in choices if isinstance(choice, dict)]
    return next((choice for choice in found if choice.get("index") in (0, None, "0")), None)


def _usage(usage: dict[str, Any]) -> Usage | None:
    asked, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    asked = asked if isinstance(asked, int) and asked > 0 else 0
    written = written if isinstance(written, int) and written > 0 else 0
    return Usage(asked, written) if asked or written else None
