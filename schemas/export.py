"""Writes the contracts to files, for those who speak to Kotae without its code."""

import json
from pathlib import Path
from typing import Any

from schemas.asyncapi import asyncapi_document
from schemas.json_schema import message_schemas
from schemas.topics import Topics


def export_schemas(directory: Path, topics: Topics, *, partitions: int) -> list[Path]:
    """Write `<message>.schema.json` for every message and `asyncapi.json`; the paths written.

    The directory is made where it is missing; files of these names are replaced. The same contracts give
    the same bytes.

    Raises:
        OSError: the directory cannot be written.
    """
    documents: dict[str, dict[str, Any]] = {
        f"{name}.schema.json": schema for name, schema in message_schemas().items()
    }
    documents["asyncapi.json"] = asyncapi_document(topics, partitions=partitions)
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, document in documents.items():
        path = directory / name
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")
        written.append(path)
    return written
