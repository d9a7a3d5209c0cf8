"""The content of a message: a text, or a list of typed parts. Pure."""

from typing import Any


def content_of(message: dict[str, Any]) -> tuple[str, str]:
    """Return the text and the refusal of a message or a delta; its content may be a list of typed parts."""
    content, refusal = message.get("content"), message.get("refusal")
    refused = refusal if isinstance(refusal, str) else ""
    if isinstance(content, str):
        return content, refused
    texts: list[str] = []
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and part.get("thought") is not True:
            kind = part.get("type", "text")
            if kind == "refusal" and isinstance(part.get("refusal"), str):
                refused += part["refusal"]
            elif isinstance(kind, str) and _is_text(kind.lower()):
                texts.append(_text_of(part))
    return "".join(texts), refused


def _is_text(kind: str) -> bool:
    """Whether a part of this type is text of the answer, as `text`, `output_text` and `TEXT` are."""
    return "text" in kind and not any(word in kind for word in ("think", "thought", "reason", "summary"))


def _text_of(part: dict[str, Any]) -> str:
    text = part.get("text", part.get("content"))
    if isinstance(text, dict):
        text = text.get("value")
    return text if isinstance(text, str) else ""
