"""What the built-in model costs: `python -m tests.benchmarks.embedding [--chunks 50000]`.

It prints the time to load it, its memory, the CPU of a question and of a paragraph, how long the event loop
is held while paragraphs are embedded, and searches of an index of made-up texts and vectors: their time
besides the question's embedding, and how many of the nearest 5 are found in spite of quantization.

A busy machine makes every thread wait. The kernel counts that time, and the holds here are without it.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from numpy.typing import NDArray

from agents.embeddings.builtin import BuiltinEncoder
from agents.embeddings.local import LocalEmbeddings
from agents.knowledge.embedded import EmbeddedIndex
from agents.knowledge.fusion import Fusion
from schemas.document import Document
from streams.assembly.embeddings import SWITCH_S
from tests.benchmarks.knowledge import Language, resident_mb

PAGES = Path(__file__).parents[2] / "docs"
"""Pages of real sentences: a model makes three times as many tokens of made-up words."""

PARAGRAPHS = 120
CHARACTERS = 785
SEARCHES = 300
SIZE = 512
TOPICS = 2_000
"""Directions around which the made-up vectors lie: texts of a real collection are not spread evenly."""


class MadeUp:
    """Implements `Embeddings` with a vector for each text by its number; a question is near document `n`."""

    model = "made up"

    def __init__(self) -> None:
        self._random = np.random.default_rng(11)
        self._topics = self._random.normal(size=(TOPICS, SIZE))
        self.vectors: list[NDArray[np.float32]] = []

    def _near(self, vector: NDArray[np.float64], spread: float) -> NDArray[np.float32]:
        made = vector / np.linalg.norm(vector) + self._random.normal(size=SIZE) * spread / np.sqrt(SIZE)
        return (made / np.linalg.norm(made)).astype(np.float32)

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        made = [self._near(self._topics[self._random.integers(TOPICS)], 1.0) for _ in texts]
        self.vectors += made
        return [vector.tolist() for vector in made]

    async def aembed_search(self, text: str) -> list[float]:
        number = int(text.split()[-1])
        found: list[float] = self._near(self.vectors[number].astype(np.float64), 1.0).tolist()
        return found


def waited_s() -> float:
    """Return the seconds that threads of this process have waited for a processor, all together."""
    total = 0
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            total += int((task / "schedstat").read_text().split()[1])
    return total / 1e9


async def held_ms(work: asyncio.Task[object]) -> list[float]:
    """Return how late a timer was, again and again until the work is done, without waits for a processor."""
    late = []
    while not work.done():
        waited, before = waited_s(), perf_counter()
        await asyncio.sleep(0.001)
        late.append(max(0.0, perf_counter() - before - 0.001 - (waited_s() - waited)) * 1000)
    return sorted(late)


async def model() -> dict[str, object]:
    before_mb, began, used = resident_mb(), perf_counter(), process_time()
    encoder = await asyncio.to_thread(BuiltinEncoder)
    figures: dict[str, object] = {
        "load s": round(perf_counter() - began, 2),
        "load CPU s": round(process_time() - used, 2),
        "memory MB": round(resident_mb() - before_mb),
    }
    sys.setswitchinterval(SWITCH_S)
    texts = " ".join(" ".join(page.read_text("utf-8").split()) for page in sorted(PAGES.glob("*.md")))
    paragraphs = [texts[at : at + CHARACTERS] for at in range(0, len(texts), CHARACTERS)][:PARAGRAPHS]
    questions = [f"{paragraph[:60]}?" for paragraph in paragraphs]
    embeddings = LocalEmbeddings(encoder)
    began, used = perf_counter(), process_time()
    for question in questions:
        await embeddings.aembed_search(question)
    figures["question CPU ms"] = round((process_time() - used) / len(questions) * 1000, 2)
    began, used = perf_counter(), process_time()
    late = await held_ms(asyncio.create_task(embeddings.aembed(paragraphs)))
    spent = process_time() - used
    figures["paragraph CPU ms"] = round(spent / len(paragraphs) * 1000, 2)
    figures["paragraphs a second of CPU"] = round(len(paragraphs) / spent, 1)
    figures["loop held ms p50/p99/longest"] = "/".join(
        f"{late[min(len(late) - 1, int(len(late) * share))]:.2f}" for share in (0.5, 0.99, 1)
    )
    figures["loop held > 5 ms"] = f"{sum(each > 5 for each in late)} of {len(late)}"
    await embeddings.aclose()
    return figures


async def search(chunks: int) -> dict[str, object]:
    language, embeddings = Language(5), MadeUp()
    index = await asyncio.to_thread(EmbeddedIndex.open, embeddings=embeddings, fusion=Fusion())
    before_mb, used = resident_mb(), process_time()
    for at in range(0, chunks, 256):
        await index.aupsert(
            [
                Document(id=str(number), text=f"{language.english(60)} {number}")
                for number in range(at, min(at + 256, chunks))
            ]
        )
    figures: dict[str, object] = {
        "chunks": await index.acount(),
        "index CPU s": round(process_time() - used, 1),
        "index memory MB": round(resident_mb() - before_mb),
    }
    took, spent = [], []
    for _ in range(SEARCHES):
        question = f"{language.english(10)} {np.random.default_rng(len(took)).integers(chunks)}"
        embeddings_s = perf_counter()
        vector = await embeddings.aembed_search(question)
        embeddings_s = perf_counter() - embeddings_s
        del vector
        began, used = perf_counter(), time.process_time()
        await index.asearch("default", question, 5)
        took.append((perf_counter() - began - embeddings_s) * 1000)
        spent.append((time.process_time() - used - embeddings_s) * 1000)
    took.sort()
    spent.sort()
    at_95 = int(SEARCHES * 0.95)
    figures["search ms p50/p95"] = f"{took[SEARCHES // 2]:.2f}/{took[at_95]:.2f}"
    figures["search CPU ms p50/p95"] = f"{spent[SEARCHES // 2]:.2f}/{spent[at_95]:.2f}"
    figures["nearest 5 found"] = round(await _found_share(index, embeddings, chunks), 4)
    await index.aclose()
    return figures


async def _found_share(index: EmbeddedIndex, embeddings: MadeUp, chunks: int) -> float:
    shard = index._shard
    assert shard is not None
    all_vectors = np.stack(embeddings.vectors)
    hits = 0
    for number in range(0, chunks, max(1, chunks // 200)):
        asked = await embeddings.aembed_search(str(number))
        nearest = {str(n) for n in np.argsort(-(all_vectors @ np.array(asked)))[:5]}
        words = index._encoder.query("")
        found = shard.search("default", words, asked, 5, Fusion(1.0))
        hits += len(nearest & {passage.document_id for passage in found})
    return hits / (5 * len(range(0, chunks, max(1, chunks // 200))))


async def measure(chunks: int) -> None:
    for name, value in (await model() | (await search(chunks) if chunks else {})).items():
        print(f"{name:32} {value}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What the built-in embedding model costs.")
    parser.add_argument("--chunks", type=int, default=50_000, help="of the index that is searched; 0: none")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    asyncio.run(measure(parser.parse_args().chunks))


if __name__ == "__main__":
    main()
