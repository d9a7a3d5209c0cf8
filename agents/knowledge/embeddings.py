"""Dense vectors from an OpenAI-compatible embeddings server."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Annotated, Protocol

import msgspec
from msgspec import Meta, Struct

from agents.components import Trail
from agents.errors import BadOutputError, DependencyError, TransientError
from agents.http.addresses import resource_url
from agents.http.pool import HttpPool, json_body
from agents.http.status import raise_for_status
from schemas.errors import DegradeReason

log = logging.getLogger(__name__)

BATCH = 64
"""Texts in a request: the common servers take as many."""
REQUEST_S = 120.0
"""The limit of a request: a server without a GPU is slow; one that hangs must not hold a worker's start."""


class Embeddings(Protocol):
    """Turns texts into vectors. Raises only `agents.errors.DependencyError`."""

    @property
    def model(self) -> str:
        """The model's name; vectors of different models are never compared."""
        ...

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector for each text of documents, in order, all of one length."""
        ...

    async def aembed_search(self, text: str) -> list[float]:
        """Return the vector of the text that is searched for."""
        ...


class _Embedding(Struct):
    index: int
    embedding: Annotated[list[float], Meta(min_length=1)]


class _Reply(Struct):
    data: list[_Embedding]


_decode = msgspec.json.Decoder(_Reply).decode


class OpenAIEmbeddings:
    """Calls `POST <base_url>/embeddings`; `base_url` holds the version path, as the model's does."""

    def __init__(self, pool: HttpPool, base_url: str, name: str, api_key: str = "") -> None:
        self._pool = pool
        self._url = resource_url(base_url, "embeddings")
        self.model = name
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        """See `Embeddings`. Many texts take several requests."""
        vectors: list[list[float]] = []
        for first in range(0, len(texts), BATCH):
            vectors += await self._arequest(texts[first : first + BATCH])
        if len({len(vector) for vector in vectors}) > 1:
            raise BadOutputError(self._pool.dependency, "vectors of different lengths")
        return vectors

    async def aembed_search(self, text: str) -> list[float]:
        """See `Embeddings`."""
        (vector,) = await self._arequest([text])
        return vector

    async def _arequest(self, texts: Sequence[str]) -> list[list[float]]:
        body = json_body({"model": self.model, "input": list(texts), "encoding_format": "float"})
        try:
            async with asyncio.timeout(REQUEST_S):
                response = await self._pool.arequest("POST", self._url, body=body, headers=self._headers)
        except TimeoutError as error:
            message = f"no vectors of {len(texts)} texts within {REQUEST_S:g} s"
            raise TransientError(self._pool.dependency, message) from error
        raise_for_status(self._pool.dependency, response)
        try:
            reply = _decode(response.body)
        except msgspec.MsgspecError as error:
            raise BadOutputError(self._pool.dependency, f"not a list of embeddings: {error}") from error
        found = {item.index: item.embedding for item in reply.data}
        if len(reply.data) != len(texts) or set(found) != set(range(len(texts))):
            raise BadOutputError(self._pool.dependency, f"{len(reply.data)} vectors for {len(texts)} texts")
        return [found[index] for index in range(len(texts))]


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
