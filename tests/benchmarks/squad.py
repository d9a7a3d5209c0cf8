"""Data sets in SQuAD's format: paragraphs as documents, questions with their accepted answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from schemas.document import Document


@dataclass(frozen=True, slots=True)
class Asking:
    """A question with its gold answers and their paragraph."""

    question: str
    gold: Sequence[str]
    document_id: str


def read_squad(
    path: Path, limit: int | None = None, questions: Path | None = None
) -> tuple[list[Document], list[Asking]]:
    """Return the paragraphs and the first `limit` questions that have answers.

    `questions`: another language's file of the same set, whose questions are asked instead, by their ids.
    """
    documents: list[Document] = []
    askings: list[Asking] = []
    texts = _questions(questions) if questions else {}
    for title, paragraph in _paragraphs(path):
        document_id = f"paragraph-{len(documents)}"
        documents.append(Document(id=document_id, title=title, source=path.name, text=paragraph["context"]))
        askings += [
            Asking(
                texts.get(entry["id"], entry["question"]),
                [gold["text"] for gold in entry["answers"]],
                document_id,
            )
            for entry in paragraph["qas"]
            if entry["answers"] and (not texts or entry["id"] in texts)
        ]
    return documents, askings[:limit]


def _questions(path: Path) -> Mapping[str, str]:
    return {
        entry["id"]: entry["question"] for _, paragraph in _paragraphs(path) for entry in paragraph["qas"]
    }


def _paragraphs(path: Path) -> Iterator[tuple[str, Any]]:
    """Each paragraph with the title of its article."""
    for article in orjson.loads(path.read_bytes())["data"]:
        for paragraph in article["paragraphs"]:
            yield article.get("title", "").replace("_", " "), paragraph
