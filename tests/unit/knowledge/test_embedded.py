"""The embedded index: saved and loaded again, and no burden to the event loop."""

import asyncio
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from agents.errors import TransientError
from agents.knowledge import shard_writing
from agents.knowledge.embedded import EmbeddedIndex
from agents.knowledge.index import Positions
from schemas.document import Document
from tests.support.knowledge import MeaningList

POSITIONS = Positions("documents", {0: 7}, 1.0)


def numbered(count: int) -> list[Document]:
    return [Document(id=f"d{n}", text=f"Item {n} has arrived.") for n in range(count)]


async def opened(path: Path, embeddings: MeaningList | None = None) -> EmbeddedIndex:
    """Open the index in a thread: a worker opens it before there is a loop to block."""
    return await asyncio.to_thread(EmbeddedIndex.open, str(path), embeddings)


@pytest.mark.parametrize("dense", [False, True])
async def test_a_saved_index_is_loaded_again(tmp_path: Path, dense: bool) -> None:
    embeddings = MeaningList() if dense else None
    index = await opened(tmp_path, embeddings)
    assert index.positions is None
    await index.aupsert(numbered(9))
    await index.asave(POSITIONS)
    await index.aclose()
    again = await opened(tmp_path, embeddings)
    assert again.positions == POSITIONS
    assert await again.acount() == 9
    assert (await again.asearch("default", "item 4", 1))[0].document_id == "d4"
    await again.aupsert([Document(id="d4", text="Gone.")])
    assert await again.acount() == 9
    await again.aclose()


async def test_an_index_of_another_scheme_or_unsaved_is_rebuilt(tmp_path: Path) -> None:
    index = await opened(tmp_path)
    await index.aupsert(numbered(9))
    await index.aclose()
    index = await opened(tmp_path)
    assert await index.acount() == 0
    await index.asave(POSITIONS)
    await index.aclose()
    index = await opened(tmp_path, MeaningList())
    assert index.positions is None
    await index.aclose()


async def test_a_damaged_index_is_rebuilt(tmp_path: Path) -> None:
    index = await opened(tmp_path)
    await index.aupsert(numbered(9))
    await index.asave(POSITIONS)
    await index.aclose()
    for name in ("segments", "edge_config.json"):
        path = tmp_path / "0" / "shard" / name
        path.rename(tmp_path / name)
        path.write_text("nonsense")
    index = await opened(tmp_path)
    assert index.positions is None
    assert await index.acount() == 0
    await index.aupsert(numbered(2))
    assert await index.acount() == 2
    await index.aclose()


async def test_after_a_kill_reading_from_the_saved_positions_completes_the_index(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from agents.knowledge.embedded import EmbeddedIndex
from agents.knowledge.index import Positions
from schemas.document import Document
async def main():
    index = EmbeddedIndex.open(sys.argv[1])
    await index.aupsert([Document(id=f"d{n}", text=f"Item {n} has arrived.") for n in range(200)])
    await index.asave(Positions("documents", {0: 7}, 1.0))
    await index.aupsert([Document(id=f"d{n}", text=f"Thing {n} is new. " * 200) for n in range(100, 300)])
    await index.adelete("default", "d0")
    print("written", flush=True)
    while True:
        for times in (200, 90):
            text = "A thing that is newer. " * times
            await index.aupsert([Document(id=f"d{n}", text=f"{n}. {text}") for n in range(100, 400)])
asyncio.run(main())
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    await process.stdout.readline()
    process.kill()
    await process.wait()
    index = await opened(tmp_path)
    await index.adelete("default", "d0")
    final = [Document(id=f"d{n}", text=f"Thing {n} is final.") for n in range(100, 300)]
    await index.aupsert(final)
    kept = {f"d{n}" for n in range(1, 300)}
    found = {
        passage.document_id for passage in await index.asearch("default", "item thing arrived final", 2_000)
    }
    assert kept <= found
    assert not any(
        "newer" in p.text for p in await index.asearch("default", "final", 2_000) if p.document_id in kept
    )
    await index.aclose()


async def test_an_interrupted_replacement_is_not_taken_for_a_complete_one() -> None:
    index = await asyncio.to_thread(EmbeddedIndex.open)
    long = Document(id="d", text="A sentence about gulls and their ways. " * 3_000)
    await index.aupsert([Document(id="d", text="Short.")])
    write = asyncio.create_task(index.aupsert([long]))
    while await index.acount() < 5:  # noqa: ASYNC110 - an index sends no event
        await asyncio.sleep(0)
    write.cancel()
    await asyncio.wait([write])
    await index.aupsert([Document(id="d", text="Short.")])
    assert await index.acount() == 1
    await index.aupsert([long])
    assert await index.acount() > 50
    await index.aclose()


async def test_an_unchanged_document_is_not_embedded_again() -> None:
    embeddings = MeaningList()
    index = await asyncio.to_thread(EmbeddedIndex.open, embeddings=embeddings)
    await index.aupsert(numbered(5))
    await index.aupsert(numbered(6))
    assert len(embeddings.texts) == 6
    await index.aclose()


async def test_without_its_embeddings_documents_are_found_by_words_and_get_vectors_later(
    tmp_path: Path,
) -> None:
    embeddings = MeaningList()
    embeddings.away = True
    index = await opened(tmp_path, embeddings)
    await index.aupsert([Document(id="garage", text="The automobile stands here."), *numbered(3)])
    assert [each.document_id for each in await index.asearch("default", "automobile", 1)] == ["garage"]
    assert index.lacking == await index.acount_lacking() == 4
    with pytest.raises(TransientError):
        await index.aembed_lacking()
    await index.asave(POSITIONS)
    await index.aclose()
    index = await opened(tmp_path, embeddings)
    assert index.weakened
    assert index.lacking == 4, "a restart knows what is missing"
    embeddings.away = False
    lapses = index.lapses
    await index.asearch("default", "car", 1)
    assert index.lapses == lapses + 1
    await index.aupsert([Document(id="d0", text="The physician comes.")])
    assert await index.aembed_lacking() == []
    assert (index.lacking, index.weakened) == (0, False)
    found = [(await index.asearch("default", text, 1))[0].document_id for text in ("car", "doctor")]
    assert found == ["garage", "d0"]
    assert index.lapses == lapses + 1
    await index.asave(POSITIONS)
    await index.aclose()
    index = await opened(tmp_path, embeddings)
    assert (await index.asearch("default", "car", 1))[0].document_id == "garage"
    await index.aclose()


class Longer(MeaningList):
    """As `MeaningList`, with seven more numbers in a vector: another model under the same name."""

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[*vector, *[0.0] * 7] for vector in await super().aembed(texts)]


async def test_vectors_of_another_length_are_all_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    index = await opened(tmp_path, MeaningList())
    await index.aupsert([*numbered(3), Document(id="garage", text="The automobile stands here.")])
    await index.asave(POSITIONS)
    await index.aclose()
    for _ in range(2):  # as new documents show it, and as a start shows it
        index = await opened(tmp_path, Longer())
        await index.aupsert([Document(id="ward", text="The physician is on the ward.")])
        while index.lacking:
            assert await index.aembed_lacking() == []
        found = [(await index.asearch("default", text, 1))[0].document_id for text in ("car", "doctor")]
        assert found == ["garage", "ward"]
        assert index.lapses == 0
        await index.asave(POSITIONS)
        await index.aclose()
    told = [record.message for record in caplog.records if "made anew" in record.message]
    assert len(told) == 1
    assert "vectors of 64 numbers, but the embeddings make 71" in told[0]


async def test_a_search_shows_that_the_embeddings_have_another_length(tmp_path: Path) -> None:
    index = await opened(tmp_path, MeaningList())
    await index.aupsert([Document(id="garage", text="The automobile stands here.")])
    await index.asave(POSITIONS)
    await index.aclose()
    index = await opened(tmp_path, Longer())
    assert await index.asearch("default", "car", 1) == []
    assert index.lapses == 1
    async with asyncio.timeout(30):
        while not index.lacking:  # noqa: ASYNC110 - the move tells nobody
            await asyncio.sleep(0)
    await index.aembed_lacking()
    assert (await index.asearch("default", "car", 1))[0].document_id == "garage"
    await index.aclose()


async def test_only_the_chunks_of_a_changed_document_whose_text_is_new_are_embedded() -> None:
    embeddings = MeaningList()
    index = await asyncio.to_thread(EmbeddedIndex.open, embeddings=embeddings)
    paragraphs = [f"Paragraph {number} is about gulls. " * 60 for number in range(6)]
    await index.aupsert([Document(id="d", text="".join(paragraphs))])
    chunks = len(embeddings.texts)
    embeddings.texts.clear()
    await index.aupsert([Document(id="d", text="".join([*paragraphs, "The automobile stands here."]))])
    assert 0 < len(embeddings.texts) < chunks
    assert (await index.asearch("default", "car", 1))[0].document_id == "d"
    await index.aclose()


async def test_a_search_in_a_closed_index_raises_an_error() -> None:
    index = await asyncio.to_thread(EmbeddedIndex.open)
    await index.aclose()
    await index.aclose()
    with pytest.raises(TransientError):
        await index.asearch("default", "item", 5)


async def test_the_space_of_replaced_points_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_writing, "REPLACED_PER_FLUSH", 100)
    index = await asyncio.to_thread(EmbeddedIndex.open)

    def used() -> int:
        return sum(path.stat().st_blocks * 512 for path in index._directory.path.rglob("*.dat"))

    sizes = []
    for version in range(12):
        await index.aupsert([Document(id=f"d{n}", text=f"{version} {n} filler " * 40) for n in range(100)])
        sizes.append(used())
    assert sizes[-1] < 2 * sizes[1]
    await index.aclose()


@pytest.mark.parametrize("dense", [False, True])
async def test_what_changed_documents_leave_in_the_engine_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dense: bool
) -> None:
    """The shard is copied when dead points crowd it. Nothing is embedded again, and searches go on."""
    monkeypatch.setattr(shard_writing, "REPLACED_PER_FLUSH", 20)
    monkeypatch.setattr(shard_writing, "DEAD_MIN", 100)
    embeddings = MeaningList() if dense else None
    index = await opened(tmp_path, embeddings)
    still = Document(id="still", text="The automobile does not change.")
    await index.aupsert([still])
    dead, failures = [], 0

    async def search() -> None:
        nonlocal failures
        while True:
            found = await index.asearch("default", "automobile", 1)
            failures += [each.document_id for each in found] != ["still"]
            await asyncio.sleep(0)

    searching = asyncio.create_task(search())
    for version in range(30):
        await index.aupsert([Document(id=f"d{n}", text=f"Version {version} of item {n}.") for n in range(20)])
        dead.append(index._writer.dead)
    searching.cancel()
    assert failures == 0
    assert max(dead) <= 120
    assert sum(later < earlier for earlier, later in pairwise(dead)) >= 4
    assert await index.acount() == 21
    assert embeddings is None or embeddings.texts.count(still.text) == 1
    await index.asave(POSITIONS)
    before = index._writer.dead
    await index.aclose()

    again = await opened(tmp_path, embeddings)
    assert again._writer.dead == before
    assert await again.acount() == 21
    assert (await again.asearch("default", "car" if dense else "automobile", 1))[0].document_id == "still"
    shards = [path.name for path in again._directory.path.iterdir() if path.is_dir()]
    assert len(shards) == 1
    await again.aclose()


async def test_indexing_gives_way_to_other_tasks() -> None:
    index = await asyncio.to_thread(EmbeddedIndex.open)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count())
    before = time.thread_time()  # of this thread alone: a busy machine stops it for long
    await index.aupsert([Document(id="d", text="A sentence about gulls and their ways. " * 3_000)])
    took = time.thread_time() - before
    other.cancel()
    assert turns > took / 0.01
    await index.aclose()


async def test_a_chunk_that_many_questions_find_is_in_memory_once(tmp_path: Path) -> None:
    index = await opened(tmp_path)
    await index.aupsert(numbered(9))
    first, again = [(await index.asearch("default", text, 1))[0] for text in ("item 4", "4 has arrived")]
    assert first.chunk_id == "d4#0"
    assert first.text is again.text
    assert first.chunk_id is again.chunk_id
    await index.aclose()
