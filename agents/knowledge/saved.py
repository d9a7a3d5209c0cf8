"""The file beside an index on disk: how the index was made, and how far it has read `documents`."""

import logging
import os
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from agents.knowledge.index import Positions
from agents.knowledge.version import Mark

_NAME = "positions.json"
log = logging.getLogger(__name__)


class _Saved(Struct):
    scheme: str
    topic: str
    offsets: dict[int, int]
    saved_at: float
    marks: dict[str, dict[int, Mark]]
    held: list[tuple[str, str, str]] = []
    skipped: list[dict[str, Any]] = []
    whole: bool = True
    dead: int = 0


def read_positions(directory: Path, scheme: str) -> tuple[Positions | None, int]:
    """Return the positions written last (None: there are none, or another scheme made the index).

    The number is that of the shard's dead points (see `shard_writing`).
    """
    try:
        saved = msgspec.json.decode((directory / _NAME).read_bytes(), type=_Saved)
    except FileNotFoundError:
        return None, 0
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("%s cannot be read, so the index is rebuilt: %s", directory / _NAME, error)
        return None, 0
    if saved.scheme != scheme:
        log.info("the index in %s has the scheme %r, not %r, and is rebuilt", directory, saved.scheme, scheme)
        return None, 0
    held = {(tenant, document_id): key for tenant, document_id, key in saved.held}
    positions = Positions(
        saved.topic, saved.offsets, saved.saved_at, saved.marks, held, tuple(saved.skipped), saved.whole
    )
    return positions, saved.dead


def write_positions(directory: Path, scheme: str, positions: Positions, dead: int = 0) -> None:
    """Replace the positions atomically: a reader sees old or new ones, even after a power cut."""
    marks = {tenant: dict(each) for tenant, each in positions.marks.items()}
    held = [(*name, key) for name, key in positions.held.items()]
    skipped = [dict(each) for each in positions.skipped]
    saved = _Saved(
        scheme,
        positions.topic,
        dict(positions.offsets),
        positions.saved_at,
        marks,
        held,
        skipped,
        positions.whole,
        dead,
    )
    new = directory / f"{_NAME}.new"
    with new.open("wb") as file:
        file.write(msgspec.json.encode(saved))
        file.flush()
        os.fsync(file.fileno())
    new.replace(directory / _NAME)
    parent = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
