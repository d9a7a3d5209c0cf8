"""Vectors on disk, which processes share."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.embeddings import kept as module
from agents.embeddings.kept import CLAIM_S, KeptVectors, digest_of
from agents.embeddings.sharing import CLAIMED_AT_ONCE, SharedEmbeddings
from agents.errors import TransientError


class Counting:
    """Embeds a text as its length and a half; notes each text; fails, or waits for `free`, if told so."""

    def __init__(self, model: str = "m") -> None:
        self.model = model
        self.texts: list[str] = []
        self.free = asyncio.Event()
        self.free.set()
        self.failing = False

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        if self.failing:
            raise TransientError("embeddings", "away")
        self.texts += texts
        await self.free.wait()
        return [[float(len(text)), 0.5] for text in texts]

    async def aembed_search(self, text: str) -> list[float]:
        return [float(len(text)), 1.0]


@pytest.fixture(autouse=True)
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Closes the files that a test opens: some tests leave them as a process that dies does."""
    with contextlib.ExitStack() as stack:
        make = KeptVectors.__init__

        def made(self: KeptVectors, *args: Any, **kwargs: Any) -> None:
            make(self, *args, **kwargs)
            stack.callback(self.close)

        monkeypatch.setattr(KeptVectors, "__init__", made)
        yield


async def opened(path: Path) -> KeptVectors:
    return await asyncio.to_thread(KeptVectors, path)


TEXTS = [f"text {'x' * number}" for number in range(40)]


def expected(texts: Sequence[str]) -> list[list[float]]:
    return [[float(len(text)), 0.5] for text in texts]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "knowledge" / "vectors.sqlite"


def drop_tables(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("DROP TABLE vectors")


async def test_a_restart_embeds_nothing_again(path: Path) -> None:
    first = SharedEmbeddings(Counting(), await opened(path))
    assert await first.aembed(TEXTS + TEXTS[:3]) == expected(TEXTS + TEXTS[:3])
    await first.aclose()
    inner = Counting()
    second = SharedEmbeddings(inner, await opened(path))
    assert await second.aembed([*TEXTS, "a new text"]) == expected([*TEXTS, "a new text"])
    assert inner.texts == ["a new text"]
    assert await second.aembed_search("text") == [4.0, 1.0]
    assert await second.aembed([]) == []
    await second.aclose()


async def test_another_model_has_vectors_of_its_own(path: Path) -> None:
    first = SharedEmbeddings(Counting("a"), await opened(path))
    await first.aembed(TEXTS)
    inner = Counting("b")
    second = SharedEmbeddings(inner, await opened(path))
    await second.aembed(TEXTS)
    assert inner.texts == TEXTS
    await first.aclose()
    await second.aclose()


async def test_processes_that_embed_the_same_texts_share_the_work(path: Path) -> None:
    inners = [Counting(), Counting(), Counting()]
    shared = [SharedEmbeddings(inner, await opened(path)) for inner in inners]
    for made in await asyncio.gather(*(each.aembed(TEXTS * 2) for each in shared)):
        assert made == expected(TEXTS * 2)
    assert sorted(text for inner in inners for text in inner.texts) == sorted(TEXTS)
    for each in shared:
        await each.aclose()


async def test_the_texts_of_a_process_that_dies_are_taken_over(path: Path) -> None:
    now = 1_000.0
    dead = await opened(path)
    await asyncio.to_thread(dead.claim, [digest_of("m", text) for text in TEXTS], now)
    await asyncio.to_thread(dead.close)
    inner = Counting()
    shared = SharedEmbeddings(inner, await opened(path), clock=lambda: now)
    waiting = asyncio.create_task(shared.aembed(TEXTS))
    done, _ = await asyncio.wait([waiting], timeout=0.3)
    assert not done
    assert inner.texts == []
    now += CLAIM_S
    assert await waiting == expected(TEXTS)
    await shared.aclose()


async def test_texts_that_could_not_be_embedded_are_free_for_others(path: Path) -> None:
    failing, working = Counting(), Counting()
    failing.failing = True
    first, second = [SharedEmbeddings(each, await opened(path)) for each in (failing, working)]
    with pytest.raises(TransientError):
        await first.aembed(TEXTS)
    assert await second.aembed(TEXTS) == expected(TEXTS)
    await first.aclose()
    await second.aclose()


async def test_a_cancelled_call_leaves_its_texts_to_others(path: Path) -> None:
    hanging, working = Counting(), Counting()
    hanging.free.clear()
    first, second = [SharedEmbeddings(each, await opened(path)) for each in (hanging, working)]
    call = asyncio.create_task(first.aembed(TEXTS))
    async with asyncio.timeout(30):
        while not hanging.texts:  # noqa: ASYNC110 - the fake tells nobody
            await asyncio.sleep(0.001)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert len(hanging.texts) == CLAIMED_AT_ONCE
    assert await second.aembed(TEXTS) == expected(TEXTS)
    await first.aclose()
    await second.aclose()


async def test_a_damaged_file_is_replaced(path: Path) -> None:
    path.parent.mkdir()
    await asyncio.to_thread(path.write_bytes, b"not a database, but long enough to look like one" * 100)
    shared = SharedEmbeddings(Counting(), await opened(path))
    assert await shared.aembed(TEXTS) == expected(TEXTS)
    await shared.aclose()


async def test_a_file_that_fails_later_is_told_once_and_done_without(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = await opened(path)
    shared = SharedEmbeddings(Counting(), kept)
    await shared.aembed(TEXTS[:3])
    await asyncio.to_thread(drop_tables, path)
    assert await shared.aembed(TEXTS) == expected(TEXTS)
    assert await shared.aembed(TEXTS) == expected(TEXTS)
    assert [
        record.message for record in caplog.records if "not kept on disk" in record.message
    ].__len__() == 1
    await shared.aclose()


def test_a_text_that_another_process_has_embedded_since_the_look_is_not_claimed(path: Path) -> None:
    kept = KeptVectors(path)
    assert kept.find([b"a", b"b"]) == {}
    kept.keep({b"a": np.ones(4, np.float32)})
    assert kept.claim([b"a", b"b"], 1_000.0) == {b"b"}
    assert kept.claim([b"b"], 1_000.0) == set()
    assert kept.claim([b"b"], 1_000.0 + CLAIM_S) == {b"b"}
    kept.close()


def test_the_file_is_bounded_and_the_first_vectors_go_first(path: Path) -> None:
    kept = KeptVectors(path, kept_max=10)
    digests = [digest_of("m", str(number)) for number in range(25)]
    for digest in digests:
        kept.keep({digest: np.ones(4, np.float32)})
    assert set(kept.find(digests)) == set(digests[15:])
    kept.close()


def test_a_vector_comes_back_nearly_as_it_was(path: Path) -> None:
    kept = KeptVectors(path)
    vector = np.random.default_rng(7).normal(size=512).astype(np.float32)
    vector /= np.linalg.norm(vector)
    kept.keep({b"d": vector})
    [found] = kept.find([b"d"]).values()
    assert found @ vector > 0.9999
    assert module.KEPT_MAX > 100_000
    kept.close()
