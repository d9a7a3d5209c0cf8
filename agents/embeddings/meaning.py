"""Vectors of search texts, and what to do without them."""

import logging

from agents.components import Trail
from agents.embeddings.protocol import Embeddings
from agents.errors import DependencyError
from schemas.errors import DegradeReason

log = logging.getLogger(__name__)


class Meaning:
    """Turns search texts into vectors; None while the embeddings fail, and a search uses words alone.

    The first failure is logged, the ones after it are not, until a call succeeds.
    """

    def __init__(self, embeddings: Embeddings | None) -> None:
        self._embeddings = embeddings
        self._in_trouble = False
        self.lapses = 0
        """The number of searches that used words alone."""

    @property
    def in_trouble(self) -> bool:
        """Whether the last search used words alone."""
        return self._in_trouble

    async def avector(self, text: str) -> list[float] | None:
        """Return the text's vector. Raises only `asyncio.CancelledError`."""
        if self._embeddings is None:
            return None
        try:
            vector = await self._embeddings.aembed_search(text)
        except DependencyError as error:
            if not self._in_trouble:
                log.warning("searches use words alone, without meanings: %s", error)
            self._in_trouble = True
            self.lapses += 1
            return None
        self._in_trouble = False
        return vector

    def tell_words_alone(self, trail: Trail | None) -> None:
        """Tell a question's trail of a search that had no vector, if there are embeddings at all."""
        if self._embeddings is not None and trail is not None:
            trail.found_less(DegradeReason.MEANING_UNAVAILABLE)
