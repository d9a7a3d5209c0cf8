"""The parameters of a model's requests, and those that its server refuses. Pure.

Servers differ in the parameters that they take, and many refuse a request for one that they do not know. A
parameter that the refusal names is left out of every later request. Never left out are those that say what is
asked: the messages, the tools, the model.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any

from agents.http.pool import HttpResponse
from agents.http.problems import told_in
from agents.json_values import read_json

log = logging.getLogger(__name__)

OURS = ("model", "messages", "tools", "stream", "functions")
"""Parameters that Kotae sets itself for every call."""
_ASKED = {"model", "messages", "tools", "functions"}
_ONLY_WITH = {"stream_options": "stream", "tool_choice": "tools", "parallel_tool_calls": "tools"}
"""Parameters that servers refuse without the other one."""
_LENGTHS = ("max_tokens", "max_completion_tokens", "max_new_tokens")
_REFUSING = {400, 422}
_PLAIN_MAX = 2_000
"""Bytes of a refusal in plain words that are read."""

_REFUSAL = re.compile(
    r"(?:un|not |n't |no longer |cannot be )(?:be )?"
    r"(?:support|recogni[sz]ed|known|expected|permitted|allowed|used|valid|available|enabled)"
    r"|extra|forbidden|additional propert|deprecated|invalid|requires? |instead|reject"
    r"|only (?:supports?|works|accepts?|allow)|must be",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"too (?:large|long|high|big|many)|at most|exceed|maximum|context|reduce|less than|range", re.IGNORECASE
)
_INSTEAD = re.compile(r"\buse\s+[`'\"]?(\w+)[`'\"]?\s+instead", re.IGNORECASE)


class Parameters:
    """The parameters of one model's requests.

    Args:
        server: its name and address in the warning.
        setting: the setting in which an operator can remove a parameter.
        own: the parameters that every request has.
        added: the operator's: each replaces the one of its name, or removes it if it is None.
    """

    def __init__(
        self, server: str, setting: str, own: Mapping[str, Any], added: Mapping[str, Any] | None = None
    ) -> None:
        self._server = server
        self._setting = setting
        self._own = dict(own)
        self._added = dict(added or {})
        self.left_out: frozenset[str] = frozenset()
        """The refused ones. A request that was built before a refusal lacks fewer of them."""

    def body(self, messages: list[dict[str, str]], **more: Any) -> dict[str, Any]:
        """Return the parameters of a request that has `more` of them."""
        merged = {**self._own, "messages": messages, **more, **self._added}
        if not (self._added or self.left_out):
            return merged
        return {
            name: value
            for name, value in merged.items()
            if value is not None
            and name not in self.left_out
            and merged.get(_ONLY_WITH.get(name, name)) is not None
        }

    def learn(self, response: HttpResponse, left_out: frozenset[str], more: Iterable[str]) -> bool:
        """Whether the response refuses a parameter, so that the request should be sent again without it.

        `left_out` were missing in the request, and `more` were the names beyond `own` and the operator's.
        """
        if response.status not in _REFUSING:
            return False
        sent = {*self._own, *more, *self._added} - left_out - _ASKED
        sent -= {name for name, value in self._added.items() if value is None}
        told, name = _refused(response.body, sent)
        if not name:
            return False
        if name in self.left_out:  # another request has learnt it meanwhile
            return True
        self.left_out |= {name}
        meant = _INSTEAD.search(told)
        successor = meant[1] if meant and name in _LENGTHS and meant[1] in _LENGTHS else ""
        if successor and successor not in {*self.left_out, *self._added}:
            self._own[successor] = self._added.get(name, self._own.get(name))
        log.warning(
            "%s refuses the parameter %s (%s): it is left out from now on%s. Change it in %s.",
            *(self._server, name, told[:200], f", and {successor} sent instead" if successor else ""),
            self._setting,
        )
        return True


def _refused(body: bytes, sent: set[str]) -> tuple[str, str]:
    """Return the server's message, and the sent parameter that it refuses by name, "" if none."""
    try:
        content = read_json(body)
        told = told_in(content)
    except ValueError:
        content, told = None, " ".join(body[:_PLAIN_MAX].decode(errors="replace").split())
    for name in _places(content):
        if name in sent and not _is_too_long(name, told):
            return told, name
    named: list[tuple[int, str]] = []
    for name in sent:
        words = re.escape(name).replace("_", "[_ ]")
        found = re.search(rf"(?<![\w])(?P<quote>[`'\"])?{words}(?![\w])", told, re.IGNORECASE)
        if found and (_REFUSAL.search(told) or found["quote"]) and not _is_too_long(name, told):
            named.append((found.start(), name))
    return told, min(named)[1] if named else ""


def _is_too_long(name: str, told: str) -> bool:
    """Whether the length that was asked for is refused, for this prompt, and not the parameter."""
    return name in _LENGTHS and _TOO_LONG.search(told) is not None


def _places(content: Any, deepest: int = 6) -> list[str]:
    """Return the names in the fields that tell the wrong parameter: OpenAI's `param`, pydantic's `loc`."""
    if not deepest:
        return []
    if isinstance(content, list):
        return [name for part in content[:10] for name in _places(part, deepest - 1)]
    if not isinstance(content, dict):
        return []
    found = [content["param"]] if isinstance(content.get("param"), str) else []
    place = content.get("loc")
    if isinstance(place, list):
        found += [part for part in place[:2] if isinstance(part, str)]
    for key in ("error", "message", "detail", "errors"):
        found += _places(content.get(key), deepest - 1)
    return found
