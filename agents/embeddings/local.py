"""Vectors from a model in the process, computed in a thread of its own.

The model's long steps (numpy's and onnxruntime's products of matrices) release the interpreter's lock, so
that the event loop goes on. It computes one small batch after another, texts of questions first: a question
waits for at most one batch of a document that is being indexed.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from cachetools import LRUCache

from agents.embeddings.comparing import Comparer, Scale
from agents.embeddings.encoder import Encoder
from agents.embeddings.protocol import DEPENDENCY
from agents.embeddings.turns import Job, TextBatch, Turns
from agents.errors import PermanentError, TimedOutError, TransientError

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

RECENT = 8_192
"""Short texts whose vectors are remembered (16 MB with 512 numbers): questions, and words and sentences of
passages that are found again and again."""

RECENT_CHARACTERS = 600
"""The longest text that is remembered."""

TOLD_EVERY_S = 10.0
"""The time between two lines about the progress."""

REFUSED = 422
"""The status of an error for texts that the model fails on, as a server would answer."""


class LocalEmbeddings:
    """See `Embeddings`; one event loop uses it.

    Args:
        encoder: the model, which only this object's thread uses.
        search_s: the limit of `aembed_search` in seconds; None: no limit.
    """

    def __init__(self, encoder: Encoder, search_s: float | None = None) -> None:
        self.model = encoder.name
        self._encoder = encoder
        self._search_s = search_s
        self._turns: Turns[NDArray[float32]] = Turns()
        self._waiting: dict[Job[NDArray[float32]], asyncio.Future[None]] = {}
        self._recent: LRUCache[tuple[bool, str], NDArray[float32]] = LRUCache(RECENT)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embeddings")
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._tell_at = 0.0
        self.embedded = 0
        """The number of texts computed so far."""
        self.busy_s = 0.0
        """The seconds that the model has computed."""

    def __repr__(self) -> str:
        return f"<LocalEmbeddings {self.model} {self._turns!r}>"

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        """See `Embeddings`. Texts of questions, and those that are compared, are computed first."""
        return _listed(await self._avectors(texts, search=False, urgent=False))

    async def acompare(self, left: Sequence[str], right: Sequence[str]) -> list[list[float]]:
        """See `Comparer`. Text that was computed in time is remembered for the next question."""
        if not left or not right:
            return [[] for _ in left]
        vectors = await self._avectors((*left, *right), search=False, urgent=True)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, _cosines, vectors[: len(left)], vectors[len(left) :])

    async def aembed_search(self, text: str) -> list[float]:
        """See `Embeddings`.

        Raises:
            TimedOutError: the model is busy with other questions.
        """
        try:
            async with asyncio.timeout(self._search_s):
                vectors = await self._avectors([text], search=True, urgent=True)
        except TimeoutError as error:
            raise TimedOutError(DEPENDENCY, f"no vector within {self._search_s:g} s") from error
        return _listed(vectors)[0]

    @property
    def comparer(self) -> Comparer | None:
        """The same model as a comparer of words; None: nobody measured what its cosines mean."""
        scale = self._encoder.scale
        return None if scale is None else LocalComparer(self, scale)

    def state(self) -> dict[str, object]:
        """For `/state`: the texts computed, those that wait, and the seconds that the model has computed."""
        return {
            "model": self.model,
            "embedded": self.embedded,
            "waiting": self._turns.waiting,
            "busy_s": round(self.busy_s, 3),
        }

    async def aclose(self) -> None:
        """Stop after the batch that is being computed. Texts that wait fail."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(_closed())
        self._waiting.clear()
        await asyncio.to_thread(self._thread.shutdown)

    async def _avectors(
        self, texts: Sequence[str], *, search: bool, urgent: bool
    ) -> "list[NDArray[float32]]":
        if self._closed:
            raise _closed()
        known = [self._recent.get((search, text)) for text in texts]
        unknown = list(
            dict.fromkeys(text for text, vector in zip(texts, known, strict=True) if vector is None)
        )
        made: dict[str, NDArray[float32]] = {}
        if unknown:
            job: Job[NDArray[float32]] = Job(unknown, search=search, urgent=urgent)
            try:
                await self._acompute(job)
            finally:
                self._remember(job)
            made = dict(zip(unknown, job.vectors, strict=True))
        return [made[text] if vector is None else vector for text, vector in zip(texts, known, strict=True)]

    def _remember(self, job: "Job[NDArray[float32]]") -> None:
        for text, vector in zip(job.texts, job.vectors, strict=False):
            if len(text) <= RECENT_CHARACTERS:
                self._recent[job.search, text] = vector

    async def _acompute(self, job: "Job[NDArray[float32]]") -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting[job] = future
        self._turns.add(job)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._arun(), name="embeddings")
        try:
            await future
        finally:
            job.given_up = not job.complete
            self._waiting.pop(job, None)

    async def _arun(self) -> None:
        """Compute until nothing waits."""
        loop = asyncio.get_running_loop()
        while (batch := self._turns.take()) is not None:
            try:
                vectors = await loop.run_in_executor(self._thread, self._encode, batch)
            except Exception as error:  # noqa: BLE001 - a model may raise anything for a text
                told = PermanentError(DEPENDENCY, f"the model fails: {error}", status=REFUSED)
                for job in set(batch.jobs):
                    job.given_up = True
                    self._settle(job, told)
                continue
            for job in batch.deliver(vectors):
                self._settle(job, None)
            self._tell(loop.time())

    def _tell(self, now: float) -> None:
        """Log the progress at intervals while texts of documents wait."""
        if self._turns.waiting and now >= self._tell_at:
            log.info(
                "%d texts embedded so far, %d texts of documents wait", self.embedded, self._turns.waiting
            )
            self._tell_at = now + TOLD_EVERY_S

    def _settle(self, job: "Job[NDArray[float32]]", error: Exception | None) -> None:
        future = self._waiting.get(job)
        if future is None or future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    def _encode(self, batch: "TextBatch[NDArray[float32]]") -> "list[NDArray[float32]]":
        began = time.perf_counter()
        # Halves of characters, which JSON may hold, are none that a model could read.
        texts = [text.encode(errors="replace").decode() for text in batch.texts]
        vectors = self._encoder.encode(texts, search=batch.search)
        if not bool((abs(vectors).sum(1) < float("inf")).all()):
            raise ValueError("a vector with numbers that are none")
        self.embedded += len(texts)
        self.busy_s += time.perf_counter() - began
        # Copies: a row alone would keep all of its batch.
        return [vector.copy() for vector in vectors]


class LocalComparer:
    """See `Comparer`: a model in the process compares, before it goes on with documents."""

    def __init__(self, local: LocalEmbeddings, scale: Scale) -> None:
        self.scale = scale
        self.acompare = local.acompare


def _listed(vectors: "Sequence[NDArray[float32]]") -> list[list[float]]:
    return [vector.tolist() for vector in vectors]


def _cosines(left: "Sequence[NDArray[float32]]", right: "Sequence[NDArray[float32]]") -> list[list[float]]:
    import numpy as np  # noqa: PLC0415 - only where a model is used

    cosines: list[list[float]] = (np.stack(left) @ np.stack(right).T).tolist()
    return cosines


def _closed() -> TransientError:
    return TransientError(DEPENDENCY, "the model is closed")
