"""A look at the collection on a Qdrant server, over its REST interface, which changes nothing.

The client library is not used, because it takes 1.3 s to import.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson
from yarl import URL

from agents.errors import BadOutputError, PermanentError, error_of_status
from agents.http.pool import HttpPool
from agents.knowledge.index import DENSE, LEXICAL
from agents.knowledge.server import PORT

TOLD_MAX = 200
"""Bytes of an error's body that are told."""
NOT_QDRANT = "it does not answer as Qdrant does"


async def avector_length(
    pool: HttpPool, url: str, collection: str, api_key: str, *, dense: bool
) -> int | None:
    """Return the length of the collection's dense vectors; None: it has none, or there is no collection yet.

    Raises:
        DependencyError: the server fails or refuses, or the collection lacks the vectors that an index needs,
            with `dense` the dense ones among them.
    """
    at = URL(url)
    at = at if at.explicit_port else at.with_port(PORT)
    address = f"{str(at).rstrip('/')}/collections/{quote(collection, safe='')}"
    # First, because a wrong address says 404 as well.
    if not await _result(pool, f"{address}/exists", api_key, "exists"):
        return None
    found = await _result(pool, address, api_key, "config")
    try:
        parameters = found["params"]
        words: Mapping[str, Any] = (parameters.get("sparse_vectors") or {}).get(LEXICAL) or {}
        vectors = parameters.get("vectors") or {}
        length = vectors[DENSE]["size"] if DENSE in vectors else None
    except (KeyError, TypeError, AttributeError) as error:
        raise BadOutputError(pool.dependency, NOT_QDRANT) from error
    problem = ""
    if words.get("modifier") != "idf":
        problem = f"has no sparse vector {LEXICAL!r} with the modifier IDF"
    elif dense and length is None:
        problem = f"has no dense vector {DENSE!r}"
    if problem:
        raise PermanentError(pool.dependency, f"the collection {collection!r} {problem}")
    return length


async def _result(pool: HttpPool, address: str, api_key: str, field: str) -> Any:
    response = await pool.arequest("GET", address, headers={"api-key": api_key} if api_key else {})
    if response.status != HTTPStatus.OK:
        message = f"HTTP {response.status}: {response.body[:TOLD_MAX].decode(errors='replace')}"
        raise error_of_status(pool.dependency, message, response.status)
    try:
        return orjson.loads(response.body)["result"][field]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise BadOutputError(pool.dependency, NOT_QDRANT) from error
