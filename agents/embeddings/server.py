"""Dense vectors from an OpenAI-compatible embeddings server."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from agents.embeddings.protocol import NO_PREFIXES, Prefixes
from agents.errors import BadOutputError, TransientError
from agents.http.addresses import resource_url
from agents.http.pool import HttpPool, json_body
from agents.http.status import raise_for_status

BATCH = 64
"""Texts in a request: the common servers take as many."""
REQUEST_S = 120.0
"""The limit of a request: a server without a GPU is slow; one that hangs must not hold a worker's start."""


class _Embedding(Struct):
    index: int
    embedding: Annotated[list[float], Meta(min_length=1)]


class _Reply(Struct):
    data: list[_Embedding]


_decode = msgspec.json.Decoder(_Reply).decode


class OpenAIEmbeddings:
    """Calls `POST <base_url>/embeddings`; `base_url` holds the version path, as the model's does.

    Args:
        pool: the connections to the server.
        base_url: the server's address.
        name: the model's name on the server.
        api_key: sent as a bearer token; empty: none.
        prefixes: put before each text, as the model wants it.
    """

    def __init__(
        self,
        pool: HttpPool,
        base_url: str,
        name: str,
        api_key: str = "",
        prefixes: Prefixes = NO_PREFIXES,
    ) -> None:
        self._pool = pool
        self._url = resource_url(base_url, "embeddings")
        self._name = name
        self._prefixes = prefixes
        self.model = prefixes.named(name)
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        """See `Embeddings`. Many texts take several requests."""
        vectors: list[list[float]] = []
        for first in range(0, len(texts), BATCH):
            vectors += await self._arequest(texts[first : first + BATCH], search=False)
        if len({len(vector) for vector in vectors}) > 1:
            raise BadOutputError(self._pool.dependency, "vectors of different lengths")
        return vectors

    async def aembed_search(self, text: str) -> list[float]:
        """See `Embeddings`."""
        (vector,) = await self._arequest([text], search=True)
        return vector

    async def _arequest(self, texts: Sequence[str], *, search: bool) -> list[list[float]]:
        sent = [self._prefixes.put_before(text, search=search) for text in texts]
        body = json_body({"model": self._name, "input": sent, "encoding_format": "float"})
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
