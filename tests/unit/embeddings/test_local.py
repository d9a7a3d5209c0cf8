"""A model in the process: its thread, its order, its failures."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.embeddings.comparing import Scale
from agents.embeddings.local import LocalComparer, LocalEmbeddings
from agents.errors import PermanentError, TimedOutError, TransientError


class Lengths:
    """Embeds a text as its length; notes the texts; waits while `held`; fails for texts with `bad`."""

    name = "lengths"
    scale: Scale | None = None

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[str] = set()
        self.free = threading.Event()
        self.free.set()
        self.began = threading.Event()

    def encode(self, texts: Sequence[str], *, search: bool) -> NDArray[np.float32]:
        self.began.set()
        assert self.free.wait(30)
        self.batches.append(list(texts))
        self.threads.add(threading.current_thread().name)
        if any("bad" in text for text in texts):
            raise ValueError("no such text")
        return np.array([[len(text), float(search)] for text in texts], np.float32)


@pytest.fixture
def encoder() -> Lengths:
    return Lengths()


@pytest.fixture
async def embeddings(encoder: Lengths) -> AsyncIterator[LocalEmbeddings]:
    made = LocalEmbeddings(encoder)
    yield made
    encoder.free.set()
    await made.aclose()


async def until_begun(encoder: Lengths) -> None:
    await asyncio.to_thread(encoder.began.wait, 30)


async def test_texts_become_vectors_in_a_thread_of_the_models_own(
    embeddings: LocalEmbeddings, encoder: Lengths
) -> None:
    assert await embeddings.aembed(["one", "three"]) == [[3.0, 0.0], [5.0, 0.0]]
    assert await embeddings.aembed_search("one") == [3.0, 1.0]
    assert await embeddings.aembed([]) == []
    assert embeddings.model == "lengths"
    assert threading.current_thread().name not in encoder.threads
    assert len(encoder.threads) == 1


async def test_a_text_that_comes_again_is_not_computed_again(
    embeddings: LocalEmbeddings, encoder: Lengths
) -> None:
    await embeddings.aembed(["a sentence", "another", "a sentence"])
    await embeddings.acompare(["another"], ["a sentence", "a third"])
    assert encoder.batches == [["a sentence", "another"], ["a third"]]


async def test_a_question_waits_for_one_batch_of_a_document_at_most(
    embeddings: LocalEmbeddings, encoder: Lengths
) -> None:
    encoder.free.clear()
    indexing = asyncio.create_task(embeddings.aembed([f"{n} {'x' * 1_600}" for n in range(20)]))
    await until_begun(encoder)
    asking = asyncio.create_task(embeddings.aembed_search("a question"))
    await asyncio.sleep(0)
    encoder.free.set()
    await asking
    assert "a question" in [batch[0] for batch in encoder.batches[:2]]
    assert len(await indexing) == 20


async def test_progress_is_told_at_intervals_while_documents_wait(
    embeddings: LocalEmbeddings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "agents.embeddings")
    await embeddings.aembed_search("a question")
    assert caplog.messages == []
    await embeddings.aembed([f"{n} {'x' * 1_600}" for n in range(20)])
    assert caplog.messages == ["2 texts embedded so far, 19 texts of documents wait"]


async def test_a_comparison_has_a_row_for_each_text_on_the_left(
    embeddings: LocalEmbeddings, encoder: Lengths
) -> None:
    assert await embeddings.acompare(["one", "three"], ["four", "x", "one"]) == [[12, 3, 9], [20, 5, 15]]
    assert await embeddings.acompare(["one"], []) == [[]]
    assert await embeddings.acompare([], ["one"]) == []
    assert embeddings.comparer is None
    encoder.scale = Scale(0.4, 0.8)
    assert embeddings.comparer is not None


async def test_sentences_that_were_computed_within_a_budget_are_remembered(
    embeddings: LocalEmbeddings, encoder: Lengths
) -> None:
    comparer = LocalComparer(embeddings, Scale(0.4, 0.8))
    sentences = [f"{n} {'x' * 590}" for n in range(6)]  # two of them in a batch
    patient = asyncio.create_task(embeddings.aembed(["y" * 1_600] * 2 + ["z" * 1_600]))
    reading = asyncio.create_task(comparer.acompare(sentences[:1], sentences[1:]))
    async with asyncio.timeout(30):
        while len(encoder.batches) < 2:  # noqa: ASYNC110 - the fake tells nobody
            await asyncio.sleep(0.001)
        encoder.free.clear()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    encoder.free.set()
    await patient
    known = sum(len(batch) for batch in encoder.batches if batch[0] in sentences)
    assert len(await comparer.acompare(sentences[:1], sentences[1:])) == 1
    computed = [text for batch in encoder.batches for text in batch if text in sentences]
    assert len(computed) <= 6 + 2  # but for the batch that was cancelled
    assert known >= 2


async def test_a_search_that_takes_too_long_gives_up(encoder: Lengths) -> None:
    embeddings = LocalEmbeddings(encoder, search_s=0.01)
    encoder.free.clear()
    with pytest.raises(TimedOutError, match=r"no vector within 0\.01 s"):
        await embeddings.aembed_search("a question")
    encoder.free.set()
    await embeddings.aclose()


async def test_a_text_that_the_model_fails_on_is_refused_as_a_server_would(
    embeddings: LocalEmbeddings,
) -> None:
    with pytest.raises(PermanentError, match="the model fails: no such text") as failure:
        await embeddings.aembed(["good", "bad"])
    assert failure.value.status == 422
    assert await embeddings.aembed(["good"]) == [[4.0, 0.0]]


async def test_a_vector_of_numbers_that_are_none_is_refused(encoder: Lengths) -> None:
    class Broken(Lengths):
        def encode(self, texts: Sequence[str], *, search: bool) -> NDArray[np.float32]:
            return np.full((len(texts), 2), np.nan, np.float32)

    embeddings = LocalEmbeddings(Broken())
    with pytest.raises(PermanentError, match="numbers that are none"):
        await embeddings.aembed(["text"])
    await embeddings.aclose()


async def test_half_a_character_is_no_trouble(embeddings: LocalEmbeddings) -> None:
    assert await embeddings.aembed(["half \ud800 a character"]) == [[18.0, 0.0]]


async def test_what_waits_when_it_is_closed_fails_and_so_does_what_comes_later(encoder: Lengths) -> None:
    embeddings = LocalEmbeddings(encoder)
    encoder.free.clear()
    indexing = asyncio.create_task(embeddings.aembed(["x" * 2_000, "y" * 2_000]))
    await until_begun(encoder)
    closing = asyncio.create_task(embeddings.aclose())
    await asyncio.sleep(0)
    encoder.free.set()
    await closing
    with pytest.raises(TransientError, match="closed"):
        await indexing
    with pytest.raises(TransientError, match="closed"):
        await embeddings.aembed(["text"])


async def test_a_job_that_is_cancelled_leaves_its_turn_to_others(
    embeddings: LocalEmbeddings, encoder: Lengths
) -> None:
    encoder.free.clear()
    first = asyncio.create_task(embeddings.aembed(["first"]))
    await until_begun(encoder)
    second = asyncio.create_task(embeddings.aembed(["second"]))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    encoder.free.set()
    await first
    await embeddings.aembed(["third"])
    assert encoder.batches == [["first"], ["third"]]
