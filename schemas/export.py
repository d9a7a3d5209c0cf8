"""Write the contracts to files, for clients that do not use Kotae's code."""

import json
from pathlib import Path
from typing import Any

from schemas.asyncapi import asyncapi_document
from schemas.json_schema import message_schemas
from schemas.topics import Topics


def export_schemas(directory: Path, topics: Topics, *, partitions: int) -> list[Path]:
    """Write `<message>.schema.json` for every message, and `asyncapi.json`; return their paths.

    A missing directory is made, and such files are replaced. The same contracts give the same bytes.

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
