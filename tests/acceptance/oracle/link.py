"""A TCP connection between a worker and a server it depends on, which can be broken in every way."""

import asyncio
import contextlib
from types import TracebackType
from typing import Literal, Self

Mode = Literal["through", "refused", "hung", "slow", "garbage", "reset"]

SLOW_S = 0.3
"""The delay of each piece of an answer."""
GARBAGE = b"\x00\xffHTTP/7.1 -1 what\r\n\r\n{]*9\r\n$-7\r\n"


class Link:
    """Listens on loopback and forwards all bytes. An async context manager.

    Args:
        port: the server's port on loopback.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._mode: Mode = "through"
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.met = 0
        """How many pieces of requests came since the mode was set."""

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def set(self, mode: Mode) -> None:
        """Set the mode, also for open connections; `refused` closes these and the port."""
        self.met = 0
        self._mode = mode
        if mode == "refused":
            await self._close()
        elif self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, reuse_address=True)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        behind: asyncio.StreamWriter | None = None
        back: asyncio.Task[None] | None = None
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                answers, behind = await asyncio.open_connection("127.0.0.1", self._to)
                back = asyncio.create_task(self._answer(answers, writer))
                while piece := await reader.read(65_536):
                    self.met += 1
                    match self._mode:
                        case "through" | "slow":
                            behind.write(piece)
                            await behind.drain()
                        case "garbage":
                            writer.write(GARBAGE)
                        case "reset":
                            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            if back is not None:
                back.cancel()
            for one in (writer, behind):
                if one is not None:
                    one.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65_536):
                if self._mode == "slow":
                    await asyncio.sleep(SLOW_S)
                if self._mode in {"through", "slow"}:
                    writer.write(piece)
                    await writer.drain()
            writer.close()
