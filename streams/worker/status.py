"""The HTTP server of a worker: `/metrics`, `/health/live`, `/health/ready`, `/state`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from streams.settings.errors import OperatorError

SHUTDOWN_S = 1.0
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Health:
    """A state of health, and the reason for it."""

    ok: bool
    reason: str


class StatusServer:
    """A small HTTP server beside the worker. It calls its callables on the event loop, at each request.

    Args:
        port: 0 takes any free port, which is in `port` after `start`.
        metrics: returns the text for Prometheus.
        live: says whether the process works; if not, it has to be started again.
        ready: says whether the worker has partitions and knowledge.
        state: returns the worker's inner state as JSON values.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        metrics: Callable[[], bytes],
        live: Callable[[], Health],
        ready: Callable[[], Health],
        state: Callable[[], dict[str, Any]],
    ) -> None:
        self.host = host
        self.port = port
        self._metrics = metrics
        self._live = live
        self._ready = ready
        self._state = state
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            OperatorError: the address cannot be listened on.
        """
        application = web.Application()
        application.add_routes(
            [
                web.get("/metrics", self._serve_metrics),
                web.get("/health/live", self._serve_live),
                web.get("/health/ready", self._serve_ready),
                web.get("/state", self._serve_state),
            ]
        )
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self.host, self.port).start()
        except OSError as error:
            await self.stop()
            raise OperatorError(
                f"cannot serve /metrics and /health on {self.host}:{self.port} ({error.strerror}): choose "
                "another port with KOTAE_WORKER__HTTP_PORT, or 0 for none"
            ) from error
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening. May be called twice."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics(), headers={"Content-Type": _METRICS_TYPE})

    async def _serve_live(self, _: web.Request) -> web.Response:
        return _health(self._live())

    async def _serve_ready(self, _: web.Request) -> web.Response:
        return _health(self._ready())

    async def _serve_state(self, _: web.Request) -> web.Response:
        body = orjson.dumps(self._state(), option=orjson.OPT_NON_STR_KEYS | orjson.OPT_INDENT_2)
        return web.Response(body=body, content_type="application/json")


def _health(health: Health) -> web.Response:
    return web.Response(
        status=200 if health.ok else 503, body=orjson.dumps(health), content_type="application/json"
    )
