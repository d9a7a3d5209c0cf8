"""Qdrant's REST interface, as far as the index uses it, over the client library's own local engine.

For machines without a Qdrant server: requests and answers really travel, and each body is read by the
library's models, which refuse fields that the interface does not have. It is not Qdrant: nothing is
approximated, nothing is kept, payload indexes are noted and not built.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel
from qdrant_client import QdrantClient, models

B = TypeVar("B", bound=BaseModel)

_COMPLETED = {"operation_id": 0, "status": "completed"}


class QdrantShim:
    """The application, with the engine that it speaks for."""

    def __init__(self) -> None:
        self.engine = QdrantClient(":memory:")
        self.payload_indexes: dict[str, dict[str, Any]] = {}
        self.failing: int | None = None
        """The status of every response while it is set."""
        self.version = (1, 18)

    def application(self) -> web.Application:
        """The application for an aiohttp server."""
        application = web.Application(middlewares=[self._guard], client_max_size=32 * 1024 * 1024)
        collection = "/collections/{name}"
        application.add_routes(
            [
                web.get(f"{collection}/exists", self._exists),
                web.get(collection, self._describe),
                web.put(collection, self._create),
                web.put(f"{collection}/index", self._index),
                web.post(f"{collection}/points/batch", self._batch),
                web.post(f"{collection}/points/query/batch", self._query),
                web.post(f"{collection}/points", self._retrieve),
                web.post(f"{collection}/points/count", self._count),
                web.post(f"{collection}/points/scroll", self._scroll),
                web.post(f"{collection}/points/payload", self._set_payload),
                web.post(f"{collection}/points/payload/delete", self._delete_payload),
                web.put(f"{collection}/points/vectors", self._update_vectors),
                web.put(f"{collection}/vectors/{{vector}}", self._create_vector),
                web.delete(f"{collection}/vectors/{{vector}}", self._delete_vector),
                web.get("/", self._info),
            ]
        )
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Callable[..., Any]) -> web.StreamResponse:
        if self.failing is not None:
            return _error(self.failing, "told to fail")
        try:
            return await handler(request)
        except ValueError as error:
            missing = "not found" in str(error)
            return _error(404 if missing else 400, str(error))

    async def _exists(self, request: web.Request) -> web.Response:
        return _result({"exists": self.engine.collection_exists(request.match_info["name"])})

    async def _describe(self, request: web.Request) -> web.Response:
        return _result(self.engine.get_collection(request.match_info["name"]))

    async def _create(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        body = await _body(request, models.CreateCollection)
        if self.engine.collection_exists(name):
            return _error(409, f"Collection `{name}` already exists!")
        self.engine.create_collection(
            name, vectors_config=body.vectors, sparse_vectors_config=body.sparse_vectors
        )
        return _result(True)

    async def _index(self, request: web.Request) -> web.Response:
        body = await _body(request, models.CreateFieldIndex)
        fields = self.payload_indexes.setdefault(request.match_info["name"], {})
        fields[body.field_name] = body.field_schema
        return _result(_COMPLETED)

    async def _batch(self, request: web.Request) -> web.Response:
        body = await _body(request, models.UpdateOperations)
        self.engine.batch_update_points(request.match_info["name"], body.operations)
        return _result([_COMPLETED for _ in body.operations])

    async def _query(self, request: web.Request) -> web.Response:
        body = await _body(request, models.QueryRequestBatch)
        name = request.match_info["name"]
        return _result(
            [
                self.engine.query_points(
                    name,
                    query=one.query,
                    using=one.using,
                    query_filter=one.filter,
                    search_params=one.params,
                    limit=one.limit or 10,
                    with_payload=one.with_payload or False,
                    with_vectors=one.with_vector or False,
                ).model_dump(mode="json", exclude_none=True)
                for one in body.searches
            ]
        )

    async def _retrieve(self, request: web.Request) -> web.Response:
        body = await _body(request, models.PointRequest)
        found = self.engine.retrieve(request.match_info["name"], body.ids, with_payload=body.with_payload)
        return _result([record.model_dump(mode="json", exclude_none=True) for record in found])

    async def _scroll(self, request: web.Request) -> web.Response:
        body = await _body(request, models.ScrollRequest)
        records, following = self.engine.scroll(
            request.match_info["name"],
            scroll_filter=body.filter,
            limit=body.limit or 10,
            offset=body.offset,
            with_payload=body.with_payload or False,
        )
        points = [record.model_dump(mode="json", exclude_none=True) for record in records]
        return _result({"points": points, "next_page_offset": following})

    async def _set_payload(self, request: web.Request) -> web.Response:
        body = await _body(request, models.SetPayload)
        self.engine.set_payload(request.match_info["name"], body.payload, points=body.points or body.filter)
        return _result(_COMPLETED)

    async def _delete_payload(self, request: web.Request) -> web.Response:
        body = await _body(request, models.DeletePayload)
        self.engine.delete_payload(request.match_info["name"], body.keys, points=body.points or body.filter)
        return _result(_COMPLETED)

    async def _update_vectors(self, request: web.Request) -> web.Response:
        body = await _body(request, models.UpdateVectors)
        self.engine.update_vectors(request.match_info["name"], body.points, update_filter=body.update_filter)
        return _result(_COMPLETED)

    async def _create_vector(self, request: web.Request) -> web.Response:
        if self.version < (1, 18):
            return _error(404, "")
        body = await _body(request, models.DenseVectorNameConfig)
        self.engine.create_vector_name(request.match_info["name"], request.match_info["vector"], body)
        return _result(_COMPLETED)

    async def _delete_vector(self, request: web.Request) -> web.Response:
        self.engine.delete_vector_name(request.match_info["name"], request.match_info["vector"])
        return _result(_COMPLETED)

    async def _info(self, _: web.Request) -> web.Response:
        version = ".".join(map(str, self.version))
        return web.json_response({"title": "qdrant - vector search engine", "version": f"{version}.0"})

    async def _count(self, request: web.Request) -> web.Response:
        body = await _body(request, models.CountRequest)
        name = request.match_info["name"]
        return _result(self.engine.count(name, count_filter=body.filter, exact=body.exact))


@contextmanager
def running_shim() -> Iterator[tuple[str, QdrantShim]]:
    """A shim's address and the shim, in a thread of its own: the engine blocks its loop."""
    shim = QdrantShim()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="qdrant-shim")
    thread.start()

    async def serve() -> tuple[web.AppRunner, int]:
        runner = web.AppRunner(shim.application(), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return runner, runner.addresses[0][1]

    runner, port = asyncio.run_coroutine_threadsafe(serve(), loop).result(10)
    try:
        yield f"http://127.0.0.1:{port}", shim
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
        shim.engine.close()


async def _body(request: web.Request, model: type[B]) -> B:
    return model.model_validate_json(await request.read())


def _result(result: Any) -> web.Response:
    plain = result.model_dump(mode="json", exclude_none=True) if isinstance(result, BaseModel) else result
    return web.json_response({"result": plain, "status": "ok", "time": 0.0})


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"status": {"error": message}, "time": 0.0}, status=status)
