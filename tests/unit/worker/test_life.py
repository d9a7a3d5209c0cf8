"""The exit code of a worker whose parts end."""

import asyncio
from typing import Any

import pytest

from streams.consumer.watchdog import StuckError
from streams.settings.model import Settings
from streams.worker.life import Worker


class Parts:
    """An engine that ends with `error`, and a monitor that does not end."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    async def failed(self) -> None:
        if self.error is None:
            await asyncio.Event().wait()
        else:
            raise self.error

    async def run(self) -> None:
        await asyncio.Event().wait()


def worker_of(parts: Any) -> Worker:
    nothing: Any = None
    return Worker(
        settings=Settings(),
        engine=parts,
        feed=nothing,
        monitor=parts,
        slowest_tenants=list,
        loop_monitor=nothing,
        metrics=lambda: b"",
        dependencies=dict,
        caches=dict,
        embeddings=lambda: None,
        aclose=nothing,
    )


@pytest.mark.parametrize(
    ("error", "code"), [(ValueError("x"), 1), (StuckError("x"), 3), (asyncio.CancelledError(), 1)]
)
async def test_a_part_that_ends_by_itself_ends_the_worker_with_its_exit_code(
    error: BaseException, code: int
) -> None:
    worker = worker_of(Parts(error))
    assert await worker._until_stopped() == code
    assert not worker.live().ok


async def test_a_worker_that_is_told_to_stop_ends_with_exit_code_0() -> None:
    worker = worker_of(Parts(None))
    asyncio.get_running_loop().call_soon(worker.stop)
    assert await worker._until_stopped() == 0
    assert worker.live().ok
