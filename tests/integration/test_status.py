"""The worker's HTTP server, over a real socket."""

from collections.abc import AsyncIterator

import httpx
import pytest

from streams.settings.errors import OperatorError
from streams.telemetry.metrics import Metrics
from streams.worker.status import Health, StatusServer


class Parts:
    """The state of a worker, to be changed by a test."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.live = Health(True, "running")
        self.ready = Health(False, "knowledge is not caught up")

    def server(self, port: int = 0) -> StatusServer:
        return StatusServer(
            "127.0.0.1",
            port,
            metrics=self.metrics.render,
            live=lambda: self.live,
            ready=lambda: self.ready,
            state=lambda: {"partitions": {0: {"commit": 7, "incomplete": [8, 9]}}},
        )


@pytest.fixture
def parts() -> Parts:
    return Parts()


@pytest.fixture
async def server(parts: Parts) -> AsyncIterator[StatusServer]:
    server = parts.server()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def http(server: StatusServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
        yield client


async def test_health_is_a_status_and_a_reason(http: httpx.AsyncClient, parts: Parts) -> None:
    live, ready = await http.get("/health/live"), await http.get("/health/ready")
    assert (live.status_code, live.json()) == (200, {"ok": True, "reason": "running"})
    assert (ready.status_code, ready.json()["reason"]) == (503, "knowledge is not caught up")
    parts.ready = Health(True, "3 partitions")
    assert (await http.get("/health/ready")).status_code == 200


async def test_metrics_have_the_present_values(http: httpx.AsyncClient, parts: Parts) -> None:
    parts.metrics.records_fetched(3)
    response = await http.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "kotae_records_fetched_total 3.0\n" in response.text
    assert "process_resident_memory_bytes" in response.text


async def test_state_is_json_with_numbers_as_keys(http: httpx.AsyncClient) -> None:
    response = await http.get("/state")
    assert response.headers["content-type"].startswith("application/json")
    assert response.json() == {"partitions": {"0": {"commit": 7, "incomplete": [8, 9]}}}


async def test_unknown_paths_and_methods_are_refused(http: httpx.AsyncClient) -> None:
    assert (await http.get("/")).status_code == 404
    assert (await http.post("/state")).status_code == 405


async def test_a_taken_port_says_which_setting_to_change(server: StatusServer, parts: Parts) -> None:
    with pytest.raises(OperatorError, match=rf"127\.0\.0\.1:{server.port} .*KOTAE_WORKER__HTTP_PORT"):
        await parts.server(server.port).start()


async def test_the_port_is_free_after_stop(parts: Parts) -> None:
    first = parts.server()
    await first.start()
    await first.stop()
    await first.stop()
    second = parts.server(first.port)
    await second.start()
    await second.stop()
