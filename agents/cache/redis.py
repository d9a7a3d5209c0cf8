"""The cache's level that processes share: a Redis server, which may be away at any time.

One task reads and one task writes, each over its own connection. Each sends all commands that have
gathered in one round trip: that costs a third of one client call for each question, and only two places
can meet a server that hangs. A read is given up after `READ_S`, and a breaker stops asking a server that
fails: a question loses 2 * `READ_S` at most, and nothing while the breaker is open. No question waits for a
write. None waits longer than `READ_S` for a connection either: it takes several round trips, which add up
if the server is far away or uses TLS.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from agents.cache.store import VALUE_BYTES_MAX
from agents.errors import PermanentError, TransientError
from agents.http.certificates import found_distrust, name_authority
from agents.resilience.breaker import Breaker

log = logging.getLogger(__name__)

_Command = tuple[str | bytes | int, ...]

PREFIX = b"kotae:1:"
"""Stands before every key. Its number grows when keys or values are made differently."""
READ_S = 0.02
BACKGROUND_S = 1.0
"""The limit of a write or a connection; no question waits for either."""
READ_BATCH = 256
WRITE_BATCH = 64
UNWRITTEN_MAX = 1000
UNWRITTEN_BYTES_MAX = 8 * 1024 * 1024
"""The values that may wait to be written; further ones are dropped."""


class RedisStore:
    """See `agents.cache.store.Store`. Serves one event loop; connects at its first use.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://`, with user and password where they are needed.
        clock: returns seconds, never goes back; the breaker uses it.
        ca_file: a PEM file of authorities to trust besides the system's, with `rediss://`.
        read_s: how long a question waits for one round trip that reads, or for the connection.
        background_s: how long a connection or a write may take.

    Raises:
        ValueError: the URL has another scheme, or an option that the client does not know.
    """

    def __init__(
        self,
        url: str,
        clock: Callable[[], float] = time.monotonic,
        *,
        ca_file: str = "",
        read_s: float = READ_S,
        background_s: float = BACKGROUND_S,
    ) -> None:
        # The pool only turns the URL into connections; this class keeps the time limits.
        trusted = {"ssl_ca_certs": ca_file} if ca_file and url.startswith("rediss:") else {}
        pool = ConnectionPool.from_url(
            url,
            **trusted,
            retry=Retry(NoBackoff(), 0),  # a second try would come too late
            socket_timeout=None,
            socket_connect_timeout=None,
            protocol=2,
            driver_info=None,  # two more round trips at every connection
        )
        self._reading, self._writing = _connection(pool), _connection(pool)
        self._read_s, self._background_s = read_s, background_s
        self._clock = clock
        self._breaker = Breaker()
        self._wanted: deque[tuple[bytes, asyncio.Future[bytes | None]]] = deque()
        self._unwritten: deque[tuple[bytes, bytes, float]] = deque()
        self._unwritten_bytes = 0
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._closed = False
        self._connects_slowly = False
        self.errors = 0
        """The number of round trips that failed."""
        self.dropped = 0
        """The number of values that were not written because too many waited."""

    def __repr__(self) -> str:
        return f"<RedisStore {self._breaker!r} {len(self._wanted)} wanted, {len(self._unwritten)} unwritten>"

    def state(self) -> dict[str, Any]:
        """For `/state`."""
        return {"breaker": str(self._breaker.state), "errors": self.errors, "dropped": self.dropped}

    async def aget(self, key: bytes) -> bytes | None:
        """See `Store`; returns within 2 * `READ_S`."""
        if self._closed or self._connects_slowly or self._breaker.refuses(self._clock()):
            return None
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes | None] = loop.create_future()
        self._wanted.append((key, future))
        if self._reader is None:
            self._reader = loop.create_task(self._read(), name="cache-reader")
        return await future

    def put(self, key: bytes, value: bytes, ttl_s: float) -> None:
        """See `Store`."""
        if self._closed or len(value) > VALUE_BYTES_MAX or self._breaker.refuses(self._clock()):
            return
        if len(self._unwritten) >= UNWRITTEN_MAX or self._unwritten_bytes + len(value) > UNWRITTEN_BYTES_MAX:
            self.dropped += 1
            return
        self._unwritten.append((key, value, ttl_s))
        self._unwritten_bytes += len(value)
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write(), name="cache-writer")

    async def aprobe(self) -> None:
        """Look up one key, as a question does.

        Raises:
            DependencyError: it failed or was refused, and why.
        """
        commands: list[_Command] = [("PING",), ("GETRANGE", _named(b"probe"), 0, 0)]
        try:
            replies = await _in_time(_converse(self._reading, commands), self._background_s)
        except (RedisError, OSError, EOFError, ValueError) as error:
            raise TransientError("redis", _told(error)) from error
        for reply in replies:
            if isinstance(reply, ResponseError):
                raise PermanentError("redis", str(reply)) from reply

    async def aclose(self) -> None:
        """See `Store`. Values that are not written yet are lost."""
        self._closed = True
        tasks = [task for task in (self._reader, self._writer) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for connection in (self._reading, self._writing):
            await connection.disconnect(nowait=True)

    async def _read(self) -> None:
        batch: list[tuple[bytes, asyncio.Future[bytes | None]]] = []
        try:
            if not self._reading.is_connected and not await self._connects():
                return
            while self._wanted:
                batch = [self._wanted.popleft() for _ in range(min(READ_BATCH, len(self._wanted)))]
                # Not GET: another program's value may be of any size, and no more than this is read.
                commands = [("GETRANGE", _named(key), 0, VALUE_BYTES_MAX) for key, _ in batch]
                replies = await self._attempt(self._reading, commands, self._read_s)
                if replies is None:
                    return
                _resolve(batch, replies)
        finally:
            self._reader = None
            _resolve(batch, [None] * len(batch))
            self._find_nothing()

    async def _connects(self) -> bool:
        """Connect the reader. A question that asks meanwhile waits for `READ_S` at most."""

        def stop_waiting() -> None:
            self._connects_slowly = True
            self._find_nothing()

        due = asyncio.get_running_loop().call_later(self._read_s, stop_waiting)
        try:
            return await self._attempt(self._reading, [("PING",)], self._background_s) is not None
        finally:
            due.cancel()
            self._connects_slowly = False

    def _find_nothing(self) -> None:
        """Let every look-up that has not been sent yet find nothing."""
        _resolve(self._wanted, [None] * len(self._wanted))
        self._wanted.clear()

    async def _write(self) -> None:
        try:
            while self._unwritten:
                commands: list[_Command] = []
                for _ in range(min(WRITE_BATCH, len(self._unwritten))):
                    key, value, ttl_s = self._unwritten.popleft()
                    self._unwritten_bytes -= len(value)
                    commands.append(("SET", _named(key), value, "PX", max(1, int(ttl_s * 1000))))
                await self._attempt(self._writing, commands, self._background_s)
        finally:
            self._writer = None

    async def _attempt(
        self, connection: AbstractConnection, commands: Sequence[_Command], limit_s: float
    ) -> list[Any] | None:
        """Return the replies to all commands, refusals among them; None: the round trip failed."""
        ticket = self._breaker.enter(self._clock())
        if ticket is None:
            return None
        problem: Exception
        try:
            replies = await _in_time(_converse(connection, commands), limit_s)
        except asyncio.CancelledError:
            self._breaker.left(ticket)
            raise
        except Exception as error:  # noqa: BLE001 - garbage from a server raises any error in the client
            problem = error
        else:
            refusals = [reply for reply in replies if isinstance(reply, ResponseError)]
            if len(refusals) < len(replies):
                self._breaker.succeeded(ticket)
                return replies
            problem = refusals[0]
        self.errors += 1
        self._breaker.failed(ticket, self._clock())
        if self._breaker.refuses(self._clock()):
            log.warning("Redis fails and is not asked for a while: %s", _told(problem))
        return None


def _told(problem: Exception) -> str:
    distrusted = found_distrust(problem)
    return (
        f"{type(problem).__name__}: {problem}" if distrusted is None else f"it {name_authority(distrusted)}"
    )


def _connection(pool: ConnectionPool) -> AbstractConnection:
    made: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py is half typed
    return made


async def _in_time(replies: Awaitable[list[Any]], limit_s: float) -> list[Any]:
    """Return the replies; TimeoutError blames a slow server only, never a slow event loop."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        # Not `timeout(limit_s)`: a loop that is late would let it expire before it reads the replies.
        due = loop.call_later(limit_s, lambda: limit.reschedule(loop.time()))
        try:
            return await replies
        finally:
            due.cancel()


async def _converse(connection: AbstractConnection, commands: Sequence[_Command]) -> list[Any]:
    """Send all commands and read as many replies. A connection that fails meanwhile is closed."""
    try:
        await connection.connect()  # type: ignore[no-untyped-call]  # half typed; does nothing if connected
        await connection.send_packed_command(connection.pack_commands(commands))
        replies: list[Any] = []
        for _ in commands:
            try:
                replies.append(await connection.read_response(disable_decoding=True))
            except ResponseError as refusal:
                replies.append(refusal)
    except BaseException:
        # The next command would get the reply that was not read here.
        await connection.disconnect(nowait=True)
        raise
    return replies


def _named(key: bytes) -> bytes:
    return PREFIX + key.hex().encode()


def _resolve(wanted: Any, values: list[Any]) -> None:
    for (_, future), value in zip(wanted, values, strict=True):
        if not future.done():
            future.set_result(value if isinstance(value, bytes) and value else None)
