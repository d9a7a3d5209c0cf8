"""A conversation's history as chat APIs keep it, made into the turns that a question may hold.

Their other roles, contents in parts and turns that only call a tool must not cost a question its answer.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from schemas.errors import WarningCode

Warn = Callable[[str], None]
"""Takes a warning for `Answer.warnings`."""

_ROLES: Mapping[str, str] = {
    "user": "user",
    "human": "user",
    # Only an operator instructs the model: what an asker calls a system message is the asker's word.
    "system": "user",
    "developer": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "chatbot": "assistant",
    "gpt": "assistant",
}
"""The role that each role of a chat API becomes."""
_ROLE_FIELDS = ("role", "type", "from")
"""The fields in which turns tell it: OpenAI's, LangChain's and ShareGPT's."""
_CONTENT_FIELDS = ("content", "parts", "value", "text")
"""The fields with the words: Gemini's are `parts`."""
_TEXT = frozenset({"text", "input_text", "output_text"})
_THOUGHT = frozenset({"thinking", "redacted_thinking", "reasoning"})
SHOWN = 5
"""How many roles or kinds of parts a warning names."""
SHOWN_CHARACTERS = 40


def usable_turns(history: list[Any], warn: Warn) -> list[Any]:
    """Return the turns of a history that have words to be told, each as `{role, content}`.

    Left out are turns of other roles and parts that are no text, of which it warns, and turns without words.
    A turn or content of a wrong type stays as it is, for the decoder to refuse.
    """
    turns: list[Any] = []
    roles: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for turn in history:
        if turn is None:
            continue
        if not isinstance(turn, dict):
            turns.append(turn)
            continue
        written = _first(turn, _ROLE_FIELDS)
        role = _ROLES.get(written.strip().lower()) if isinstance(written, str) else None
        if role is None:
            roles["none" if written is None else str(written)[:SHOWN_CHARACTERS]] += 1
            continue
        content = _joined(_first(turn, _CONTENT_FIELDS), kinds)
        if content is not None:
            turns.append({"role": role, "content": content})
    if roles:
        warn(
            f"{WarningCode.UNUSABLE_ROLE}: {roles.total()} of {len(history)} turns of the history were left "
            f"out for their roles ({_names(roles)}): only user, assistant, system and developer are read"
        )
    if kinds:
        warn(
            f"{WarningCode.UNUSABLE_CONTENT}: parts of the history that are no text were left out "
            f"({_names(kinds)})"
        )
    return turns


def _first(turn: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((turn[name] for name in names if turn.get(name) is not None), None)


def _joined(content: Any, kinds: Counter[str]) -> Any:
    """Return the text of a content; None: it has no words. Counts the parts that are no text by kind."""
    if isinstance(content, dict):
        content = content.get("parts", [content])
    if not isinstance(content, list):
        return content
    texts = []
    for part in content:
        if part is None:
            continue
        text = _text_of(part)
        if text is not None:
            texts.append(text)
        elif (kind := _kind_of(part)).lower() not in _THOUGHT:
            kinds[kind] += 1
    return "".join(texts) or None


def _text_of(part: Any) -> str | None:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or str(part.get("type", "text")).lower() not in _TEXT:
        return None
    text = part.get("text")
    if isinstance(text, dict):
        text = text.get("value")
    return text if isinstance(text, str) else None


def _kind_of(part: Any) -> str:
    return str(part.get("type", "none") if isinstance(part, dict) else type(part).__name__)[:SHOWN_CHARACTERS]


def _names(counted: Counter[str]) -> str:
    names = ", ".join(sorted(counted)[:SHOWN])
    return f"{names} and {len(counted) - SHOWN} more" if len(counted) > SHOWN else names
