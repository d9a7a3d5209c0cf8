"""Embeddings whose vectors of documents are kept on disk, and computed once for all processes."""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from agents.embeddings.kept import KeptVectors, digest_of
from agents.embeddings.protocol import Embeddings

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

LOOKED_UP_AT_ONCE = 256
"""Texts that are looked up together."""

CLAIMED_AT_ONCE = 16
"""Texts that a process claims and embeds together: few, so that processes share the work."""

LOOK_S = 0.1
"""The wait before another look for vectors that another process is making."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def batched(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Yield the items in parts of at most `size`."""
    for at in range(0, len(items), size):
        yield items[at : at + size]


class SharedEmbeddings:
    """See `Embeddings`. Searches go straight to `inner`.

    If the file cannot be used, that is logged once, and everything goes straight to `inner`.
    """

    def __init__(self, inner: Embeddings, kept: KeptVectors, clock: Callable[[], float] = time.time) -> None:
        self.model = inner.model
        self._inner = inner
        self._kept: KeptVectors | None = kept
        self._clock = clock
        self._using = asyncio.Lock()
        self.found = 0
        """The number of vectors that were there already."""

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        """See `Embeddings`."""
        made: dict[bytes, list[float]] = {}
        digests = [digest_of(self.model, text) for text in texts]
        wanted = dict(zip(digests, texts, strict=True))
        for some in batched(list(wanted), LOOKED_UP_AT_ONCE):
            made |= await self._amade({digest: wanted[digest] for digest in some})
        return [made[digest] for digest in digests]

    async def aembed_search(self, text: str) -> list[float]:
        """See `Embeddings`."""
        return await self._inner.aembed_search(text)

    async def aclose(self) -> None:
        """Close the file."""
        async with self._using:
            kept, self._kept = self._kept, None
            if kept is not None:
                await asyncio.to_thread(kept.close)

    async def _amade(self, wanted: Mapping[bytes, str]) -> dict[bytes, list[float]]:
        """Return the texts' vectors, from this process or another one."""
        made: dict[bytes, list[float]] = {}
        while missing := [digest for digest in wanted if digest not in made]:
            there = await self._ause(partial(KeptVectors.find, digests=missing)) or {}
            self.found += len(there)
            made |= {digest: vector.tolist() for digest, vector in there.items()}
            missing = [digest for digest in missing if digest not in there]
            claimed = await self._aclaimed(missing)
            if claimed:
                made |= await self._aembed_claimed({digest: wanted[digest] for digest in claimed})
            elif missing:
                await asyncio.sleep(LOOK_S)
        return made

    async def _aclaimed(self, digests: Sequence[bytes]) -> list[bytes]:
        """Return texts that this process is to embed now: some that nobody else has claimed."""
        for some in batched(digests, CLAIMED_AT_ONCE):
            mine = await self._ause(partial(KeptVectors.claim, digests=some, now=self._clock()))
            if mine is None:
                return list(digests)
            if mine:
                return [digest for digest in some if digest in mine]
        return []

    async def _aembed_claimed(self, texts: dict[bytes, str]) -> dict[bytes, list[float]]:
        import numpy as np  # noqa: PLC0415 - only where vectors are kept

        done = False
        try:
            vectors = await self._inner.aembed(list(texts.values()))
            done = True
        finally:
            if not done:  # also if this is cancelled: another process need not wait for it
                await asyncio.shield(self._ause(partial(KeptVectors.release, digests=list(texts))))
        made: dict[bytes, NDArray[float32]] = {
            digest: np.asarray(vector, np.float32) for digest, vector in zip(texts, vectors, strict=True)
        }
        await self._ause(partial(KeptVectors.keep, vectors=made))
        return dict(zip(texts, vectors, strict=True))

    async def _ause(self, call: Callable[[KeptVectors], Result]) -> Result | None:
        """Call the file in a thread; None: it cannot be used."""
        async with self._using:
            if self._kept is None:
                return None
            try:
                return await asyncio.to_thread(call, self._kept)
            except sqlite3.Error as error:
                log.warning(
                    "vectors are not kept on disk from now on, and each process makes its own: %s", error
                )
                failed, self._kept = self._kept, None
                with contextlib.suppress(sqlite3.Error):
                    await asyncio.to_thread(failed.close)
                return None
