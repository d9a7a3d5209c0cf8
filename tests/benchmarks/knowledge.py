"""The embedded index alone: `python -m tests.benchmarks.knowledge [--chunks 50000] [--dense 512]`.

The texts are made up; their words are as unevenly frequent as those of a language. It prints the time to
index them, the time of several kinds of questions, the longest wait of the event loop, and the memory.
With `--dense`, each chunk has a vector of so many numbers, which are made up too: the time to make them is in
no figure of a search but a microsecond's look-up.
"""

import argparse
import asyncio
import gc
import itertools
import random
import time
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import orjson

from agents.knowledge.embedded import EmbeddedIndex
from agents.knowledge.index import Positions
from schemas.document import Document

WORDS_A_CHUNK = 350
"""Sentences of a document: with 12 words each, about the 512 tokens of a full chunk."""

QUESTIONS = 300
LONGEST = 32_768


class Language:
    """Words drawn by Zipf's law; Chinese characters are drawn in the same way."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._words = [self._word() for _ in range(80_000)]
        self._characters = [chr(0x4E00 + n) for n in range(4_000)]
        self._weights = list(itertools.accumulate(1 / (n + 2.7) for n in range(80_000)))

    def _word(self) -> str:
        return "".join(self._random.choices("etaoinshrdlucmfwyp", k=self._random.randint(3, 11)))

    def english(self, count: int) -> str:
        words = self._random.choices(self._words, cum_weights=self._weights, k=count)
        return " ".join(f"{word.title()}." if n % 12 == 11 else word for n, word in enumerate(words))

    def chinese(self, count: int) -> str:
        return "".join(
            self._random.choices(
                self._characters, cum_weights=self._weights[: len(self._characters)], k=count
            )
        )


class Waits:
    """How long the loop was kept from running ready callbacks."""

    def __init__(self) -> None:
        self.longest_ms = 0.0

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        watching = asyncio.create_task(self._watch())
        await asyncio.sleep(0)
        try:
            yield
        finally:
            watching.cancel()

    async def _watch(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0)
            self.longest_ms = max(self.longest_ms, (time.perf_counter() - before) * 1000)


class MadeUpVectors:
    """Embeddings of unit length that cost nothing: one of `KINDS` vectors, by the text."""

    KINDS = 4_096
    model = "made-up"

    def __init__(self, size: int) -> None:
        source = random.Random(size)
        self._vectors = [_unit([source.gauss(0, 1) for _ in range(size)]) for _ in range(self.KINDS)]

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        return [self._vectors[zlib.crc32(text.encode()) % self.KINDS] for text in texts]

    async def aembed_search(self, text: str) -> list[float]:
        (vector,) = await self.aembed([text])
        return vector


def _unit(vector: list[float]) -> list[float]:
    length = sum(number * number for number in vector) ** 0.5
    return [number / length for number in vector]


def documents(language: Language, chunks: int, tenants: int) -> Iterator[Document]:
    for number in range(chunks):
        yield Document(
            id=f"document-{number}",
            tenant=f"tenant-{number % tenants}",
            title=language.english(4),
            text=language.english(WORDS_A_CHUNK),
        )


def resident_mb() -> float:
    return _status_mb("VmRSS")


def _status_mb(name: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) / 1024


async def ask(index: EmbeddedIndex, questions: list[str]) -> dict[str, float]:
    """The times by the clock, and by the CPU, which a busy machine does not change."""
    took, spent = [], []
    for question in questions:
        before, used = time.perf_counter(), time.process_time()
        await index.asearch("tenant-0", question, 5)
        spent.append((time.process_time() - used) * 1000)
        took.append((time.perf_counter() - before) * 1000)
        await asyncio.sleep(0)
    took.sort()
    spent.sort()
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return {
        f"{kind}{name}_ms": times[int(len(times) * share)]
        for kind, times in (("", took), ("cpu_", spent))
        for name, share in shares.items()
    }


async def measure(chunks: int, tenants: int, path: str, dense: int = 0) -> dict[str, object]:
    language = Language()
    embeddings = MadeUpVectors(dense) if dense else None
    figures: dict[str, object] = {
        "chunks": chunks,
        "tenants": tenants,
        "dense": dense,
        "before_mb": round(resident_mb()),
    }
    # A pass of the collector over the benchmark's own objects takes 30 ms, which a worker does not have.
    gc.collect()
    gc.freeze()
    index = EmbeddedIndex.open(path, embeddings)
    indexing, searching, saving, replacing = Waits(), Waits(), Waits(), Waits()
    spent = 0.0
    for batch in _batched(documents(language, chunks, tenants), 256):
        before = time.perf_counter()
        async with indexing.watched():
            await index.aupsert(batch)
            if index.lacking:
                await index.aembed_lacking()
        spent += time.perf_counter() - before
    figures["index_s"] = spent
    figures["indexed"] = await index.acount()
    async with saving.watched():
        await index.asave(Positions("documents", {0: chunks}, time.time()))
    kinds = {
        "short": [language.english(10) for _ in range(QUESTIONS)],
        "long": [language.english(60) for _ in range(QUESTIONS)],
        "longest": [language.english(8_000)[:LONGEST] for _ in range(QUESTIONS // 10)],
        "chinese": [language.chinese(20) for _ in range(QUESTIONS)],
        "longest_chinese": [language.chinese(LONGEST) for _ in range(QUESTIONS // 10)],
    }
    async with searching.watched():
        for kind, questions in kinds.items():
            figures[kind] = await ask(index, questions)
    figures["resident_mb"] = {"in_all": resident_mb(), "of_files": _status_mb("RssFile")}
    again = [
        Document(id=f"document-{n}", tenant=f"tenant-{n % tenants}", text=language.english(WORDS_A_CHUNK * 3))
        for n in range(min(chunks, 1_000))
    ]
    async with replacing.watched():
        write = asyncio.create_task(index.aupsert(again))
        while not write.done():
            figures["short_while_indexing"] = await ask(index, kinds["short"])
        await write
    figures["loop_waits_ms"] = {
        "indexing": indexing.longest_ms,
        "saving": saving.longest_ms,
        "searching": searching.longest_ms,
        "replacing_and_searching": replacing.longest_ms,
    }
    await index.aclose()
    if path:
        before = time.perf_counter()
        index = EmbeddedIndex.open(path, embeddings)
        figures["reopen_s"] = time.perf_counter() - before
        await index.aclose()
    return figures


def _batched(documents: Iterator[Document], size: int) -> Iterator[list[Document]]:
    while batch := list(itertools.islice(documents, size)):
        yield batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=50_000)
    parser.add_argument("--tenants", type=int, default=1)
    parser.add_argument("--dense", type=int, default=0, help="numbers of a chunk's vector; default: none")
    parser.add_argument("--path", default="", help="directory to keep the index in; default: a temporary one")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    options = parser.parse_args()
    figures = asyncio.run(measure(options.chunks, options.tenants, options.path, options.dense))
    if options.json:
        print(orjson.dumps(figures).decode())
        return
    for name, value in figures.items():
        shown = value if isinstance(value, dict) else {"": value}
        print(f"{name:22}", "  ".join(f"{key} {number:,.2f}".strip() for key, number in shown.items()))


if __name__ == "__main__":
    main()
