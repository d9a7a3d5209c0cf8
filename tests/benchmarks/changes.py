"""Memory while documents change: `python -m tests.benchmarks.changes [--changes 20000] [--dense 384]`.

Records of `documents` come in one by one, as a worker reads them beside its questions, and go through the
worker's own writer into the embedded index; each is followed by a search. It prints the resident memory, the
size of the index on disk and the time for every 2,000 changes. With `--dense`, each chunk has a vector of so
many numbers, which are made up.
"""

import argparse
import asyncio
import gc
import json
import tempfile
import time
from pathlib import Path

from aiokafka import ConsumerRecord

from agents.knowledge.embedded import EmbeddedIndex
from agents.knowledge.version import KnowledgeVersions
from schemas.codec import encode
from schemas.document import Document, document_key
from streams.knowledge.changes import aread_changes
from streams.knowledge.waiting import Waiting
from streams.knowledge.writing import IndexWriter
from streams.telemetry.hook import Hook
from tests.benchmarks.knowledge import Language, MadeUpVectors, resident_mb

STEP = 2_000
"""Changes between two lines of the table."""

WORDS = 700
"""Words of a document: two to three chunks."""


def record(offset: int, document: Document) -> ConsumerRecord:
    """Return the record that a consumer would return."""
    key, value = document_key(document.tenant, document.id), encode(document)
    return ConsumerRecord(
        "documents", 0, offset, int(time.time() * 1000), 1, key, value, None, len(key), len(value), ()
    )


def disk_mb(path: Path) -> float:
    """Return what the files below a path take."""
    blocks = sum(file.stat().st_blocks for file in path.rglob("*") if file.is_file())
    return round(blocks * 512 / 1_048_576, 1)


async def ameasure(changes: int, documents: int, dense: int, path: str) -> list[dict[str, float]]:
    """Change documents by turns, and return a row for every `STEP` changes."""
    language = Language()
    embeddings = MadeUpVectors(dense) if dense else None
    index = EmbeddedIndex.open(path, embeddings)
    versions = KnowledgeVersions()
    writer = IndexWriter(index, versions, Waiting("the benchmark waits"), Hook())
    rows: list[dict[str, float]] = []
    for number in range(changes):
        if number % STEP == 0:
            started, used = time.perf_counter(), time.process_time()
        tenant = f"tenant-{number % documents % 50}"
        document = Document(
            id=f"document-{number % documents}",
            tenant=tenant,
            title=language.english(4),
            text=language.english(WORDS),
        )
        await writer.awrite(0, await aread_changes([record(number, document)], writer.holders))
        await index.asearch(tenant, language.english(8), 5)
        if (number + 1) % STEP == 0:
            gc.collect()
            rows.append(
                {
                    "changes": number + 1,
                    "resident_mb": round(resident_mb(), 1),
                    "disk_mb": disk_mb(Path(path)),
                    "seconds": round(time.perf_counter() - started, 1),
                    "cpu_s": round(time.process_time() - used, 1),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    await index.aclose()
    return rows


def main() -> None:
    """Print the curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=20_000)
    parser.add_argument("--documents", type=int, default=2_000)
    parser.add_argument("--dense", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as path:
        rows = asyncio.run(ameasure(options.changes, options.documents, options.dense, path))
    settled = [row["resident_mb"] for row in rows if row["changes"] >= 2 * options.documents]
    if settled:
        print(f"grown since {2 * options.documents} changes: {settled[-1] - settled[0]:.1f} MB")


if __name__ == "__main__":
    main()
