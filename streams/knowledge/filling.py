"""Makes the vectors that documents in the index lack, as soon as the embeddings' server answers."""

import asyncio
import logging
from collections.abc import Callable

from agents.errors import DependencyError
from agents.knowledge.index import EmbeddingIndex
from agents.knowledge.vectors import Refusal
from streams.knowledge.waiting import Waiting
from streams.telemetry.hook import Hook

log = logging.getLogger(__name__)

UNCHANGED_S = 1.0
"""The wait before the next round if one changed nothing: its documents are being replaced."""


class VectorFiller:
    """Works whenever it is woken, until no document lacks its vectors.

    Args:
        refused: told of each document that the embeddings refuse.
        hook: told of each failure of their server.
    """

    def __init__(self, index: EmbeddingIndex, refused: Callable[[Refusal], None], hook: Hook) -> None:
        self._index = index
        self._refused = refused
        self._hook = hook
        self._woken = asyncio.Event()
        self.waiting = Waiting("vectors of documents wait; these are found by words alone")

    def wake(self) -> None:
        """Look for documents without vectors now."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while before := self._index.lacking:
                try:
                    for refusal in await self._index.aembed_lacking():
                        self._refused(refusal)
                except DependencyError as error:
                    self._hook.attempt_failed(error.dependency, error)
                    await self.waiting.apause(str(error), error.retry_after_s)
                    continue
                except Exception as error:
                    log.exception("the vectors of documents cannot be made; this is tried again")
                    await self.waiting.apause(repr(error))
                    continue
                self.waiting.over()
                if self._index.lacking >= before:
                    await asyncio.sleep(UNCHANGED_S)
            self.waiting.over()
