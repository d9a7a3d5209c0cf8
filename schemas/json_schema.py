"""The JSON Schema (draft 2020-12) of every message, made from the types that decode it.

In the messages that others write, each optional field may be null, which stands for its absence.
"""

from typing import Any

import msgspec
from msgspec import Struct

from schemas.answer import Answer
from schemas.control import Cancel
from schemas.document import Document
from schemas.event import AnswerDelta, QuestionTrace
from schemas.feedback import Feedback
from schemas.journal import JournalEntry
from schemas.question import Question

MESSAGES: dict[str, type[Struct]] = {
    "question": Question,
    "answer": Answer,
    "answer-delta": AnswerDelta,
    "question-trace": QuestionTrace,
    "cancel": Cancel,
    "document": Document,
    "feedback": Feedback,
    "journal-entry": JournalEntry,
}

_WRITTEN_BY_OTHERS = (Question, Document, Cancel, Feedback)


def message_schemas() -> dict[str, dict[str, Any]]:
    """Return a complete JSON Schema for each name in `MESSAGES`."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schemas = {name: dialect | msgspec.json.schema(message) for name, message in MESSAGES.items()}
    for schema in schemas.values():
        _take_nulls(schema["$defs"])
    return schemas


def component_schemas(ref_template: str) -> dict[str, dict[str, Any]]:
    """Return the schemas of all types of all messages by name, for one document with all of them.

    They refer to each other by `ref_template`, for instance `#/components/schemas/{name}`.
    """
    _, components = msgspec.json.schema_components(MESSAGES.values(), ref_template=ref_template)
    _take_nulls(components)
    return components


def _take_nulls(definitions: dict[str, dict[str, Any]]) -> None:
    for message in _WRITTEN_BY_OTHERS:
        schema = definitions.get(message.__name__, {"properties": {}})
        for name, field in schema["properties"].items():
            if name in schema["required"]:
                continue
            if "type" in field:  # the others may be null by their type
                field["type"] = [field["type"], "null"]
            elif "enum" in field:
                field["enum"] = [*field["enum"], None]
