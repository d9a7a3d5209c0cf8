"""Checks and reads a server's chat completions, whole or streamed. Pure.

Every deviation from https://platform.openai.com/docs/api-reference/chat raises a `BadOutputError`. A server
cannot cause any other error.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from agents.citations import says_nothing
from agents.components import Generation, Plan, PlannedCall
from agents.errors import (
    BadOutputError,
    DependencyError,
    ThrottledError,
    TransientError,
    UnfitOutputError,
)
from agents.json_values import nests_too_deeply, unrounded
from schemas.answer import Usage
from schemas.errors import DegradeReason

ID_MAX = 128
"""The longest tool-call id that is kept: ids travel in headers."""
TOLD_MAX = 200


def parse_plan(dependency: str, body: bytes) -> Plan:
    """Return the tool calls of a completion as a plan; an empty plan if there are none."""
    completion = unrounded(_object(dependency, body), body)
    wanted = _message(dependency, completion).get("tool_calls")
    return Plan(planned_calls(wanted if isinstance(wanted, list) else []), _usage(completion))


def parse_generation(dependency: str, body: bytes, name: str) -> Generation:
    """Return the text of a completion. `name` is the model's name if the server gives none.

    Tool calls in it never run, because untrusted text must not decide on a call. Beside a text they
    degrade the answer (`Generation.degraded`); in place of a text they raise a `BadOutputError`.
    """
    completion = _object(dependency, body)
    message = _message(dependency, completion)
    return _generation(dependency, message.get("content"), completion, name, _calls_tools(message))


class StreamedGeneration:
    """A completion that comes in chunks: feed it the events' data in order, then take the result.

    `done` turns true when the server says that nothing follows.
    """

    def __init__(self, dependency: str, name: str) -> None:
        self.done = False
        self._dependency = dependency
        self._name = name
        self._pieces: list[str] = []
        self._told: dict[str, Any] = {}
        self._finished = False
        self._called = False

    def feed(self, data: bytes) -> str:
        """Return the piece of text in an event, "" if it has none. Raises the error in an error event."""
        if data.strip() == b"[DONE]":
            self.done = self._finished = True
            return ""
        chunk = _object(self._dependency, data)
        if chunk.get("error"):
            raise _midway(self._dependency, chunk["error"])
        for key in ("model", "usage"):
            if chunk.get(key):
                self._told[key] = chunk[key]
        if not chunk.get("choices"):
            return ""
        choice = _first_choice(self._dependency, chunk)
        self._finished = self._finished or bool(choice.get("finish_reason"))
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return ""
        self._called = self._called or _calls_tools(delta)
        text = delta.get("content")
        if not isinstance(text, str):
            return ""
        self._pieces.append(text)
        return text

    def result(self) -> Generation:
        """Return the whole after the stream's end; BadOutputError: the stream ended before the answer did."""
        if not self._finished:
            raise BadOutputError(self._dependency, "the stream ended before the answer did")
        return _generation(self._dependency, "".join(self._pieces), self._told, self._name, self._called)


def planned_calls(written: Sequence[Any]) -> tuple[PlannedCall, ...]:
    """Return the tool calls that a model wrote, each with an id that no other has.

    An id made of the position replaces one that is missing, unfit or repeated, so that the same plan
    always has the same ids.
    """
    calls: list[PlannedCall] = []
    taken: set[str] = set()
    for position, entry in enumerate(written, 1):
        function = entry.get("function") if isinstance(entry, dict) else None
        if not isinstance(function, dict):
            continue
        name = function.get("name")
        identifier = entry.get("id")
        if not isinstance(identifier, str) or not 0 < len(identifier) <= ID_MAX or identifier in taken:
            identifier = f"call_{position}"
            while identifier in taken:
                identifier += "_"
        taken.add(identifier)
        arguments, problem = _arguments(function.get("arguments"))
        if not isinstance(name, str) or not name:
            name, problem = "", "names no tool"
        calls.append(PlannedCall(identifier, name, arguments, problem))
    return tuple(calls)


def _arguments(written: Any) -> tuple[dict[str, Any], str]:
    if written is None or written == "":
        return {}, ""
    if isinstance(written, str):
        text = written.encode()
        try:
            written = unrounded(orjson.loads(text), text)
        except orjson.JSONDecodeError as error:
            return {}, f"the arguments are not JSON: {error}"
    if not isinstance(written, dict):
        return {}, "the arguments are not a JSON object"
    if nests_too_deeply(written):
        return {}, "the arguments are nested too deeply"
    return written, ""


def _generation(
    dependency: str, text: Any, completion: dict[str, Any], name: str, called: bool
) -> Generation:
    if not isinstance(text, str) or says_nothing(text):
        raise UnfitOutputError(
            dependency, "called tools in place of an answer" if called else "wrote no text"
        )
    model = completion.get("model")
    return Generation(
        text,
        model if isinstance(model, str) and model else name,
        _usage(completion),
        (DegradeReason.TOOL_CALLS_REFUSED,) if called else (),
    )


def _calls_tools(message: dict[str, Any]) -> bool:
    """Whether a message, or a piece of one, holds tool calls, in the current form or the older one."""
    return bool(message.get("tool_calls") or message.get("function_call"))


def _object(dependency: str, body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadOutputError(dependency, f"did not answer in JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadOutputError(dependency, "did not answer with a JSON object")
    return value


def _first_choice(dependency: str, completion: dict[str, Any]) -> dict[str, Any]:
    choices = completion.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise BadOutputError(dependency, "answered without choices")
    return choices[0]


def _message(dependency: str, completion: dict[str, Any]) -> dict[str, Any]:
    message = _first_choice(dependency, completion).get("message")
    if not isinstance(message, dict):
        raise BadOutputError(dependency, "answered without a message")
    return message


def _usage(completion: dict[str, Any]) -> Usage:
    usage = completion.get("usage")
    if not isinstance(usage, dict):
        return Usage()
    counts = [usage.get(key) for key in ("prompt_tokens", "completion_tokens")]
    return Usage(*(count if isinstance(count, int) and count > 0 else 0 for count in counts))


def _midway(dependency: str, error: Any) -> DependencyError:
    """Turn an error event into an error: the status was 200, but the event may name an HTTP status."""
    code, told = (error.get("code"), error.get("message")) if isinstance(error, dict) else (None, error)
    message = f"failed midway: {str(told)[:TOLD_MAX]}"
    throttled = code in (429, "429", 503, "503")
    return ThrottledError(dependency, message) if throttled else TransientError(dependency, message)
