"""A real Apache Kafka on this machine: one KRaft node that ends with its owner."""

import asyncio
import contextlib
import shutil
import tempfile
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from streams.local.kafka_jars import find_java, resolve_jars
from streams.process.processes import Child, free_port, require_free_port, run_to_end
from streams.settings.errors import OperatorError

START_TIMEOUT_S = 60.0

# One node with a small heap: internal topics need one partition only, and the log cleaner's default buffer
# (128 MB) would be a quarter of the heap. The 8 MiB leave room for a dead letter, which is larger than its
# question. A killed node may register again only after its old session has ended, so the session is short.
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
log.dirs={log_dir}
auto.create.topics.enable=false
message.max.bytes=8388608
replica.fetch.max.bytes=8388608
default.replication.factor=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
log.cleaner.dedupe.buffer.size=16777216
log.index.size.max.bytes=1048576
num.network.threads=2
num.io.threads=4
"""

_LOG4J = """\
<Configuration status="ERROR" shutdownHook="disable">
  <Appenders><Console name="console"><PatternLayout pattern="%d %p %c: %m%n"/></Console></Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="console"/></Root></Loggers>
</Configuration>
"""


class LocalBroker:
    """Kafka on a loopback port, from start to stop; use it with `async with`.

    Args:
        port: the port to listen on; 0: any free port.
        data: the directory of the log; None: a temporary directory, removed by `stop`.
        cache: the directory of the jars; None: the user's cache directory.
        say: gets a line for each step that takes time.
    """

    def __init__(
        self,
        port: int = 0,
        data: Path | None = None,
        *,
        cache: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.port = port
        self.data = data
        self.temporary = data is None
        self._cache = cache
        self._say = say
        self._child: Child | None = None
        self._java = ""
        self._jars = Path()

    @property
    def bootstrap_servers(self) -> str:
        """The address for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The JVM's process id while it runs."""
        return self._child.pid if self._child is not None and self._child.exit_code is None else None

    @property
    def log(self) -> Path:
        """The file of the broker's log: warnings and worse."""
        if self.data is None:
            raise RuntimeError("the broker was never started")
        return self.data / "broker.log"

    def last_words(self) -> str:
        """Return the last line of the broker's log, for an error message."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return f"{lines[-1] if lines else 'it wrote nothing'} (log: {self.log})"

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the broker, and wait until it answers Kafka's protocol.

        Raises:
            OperatorError: Java or Maven is missing, the port is taken, or the broker did not start.
        """
        if self.port:
            require_free_port(self.port, "--port")
        else:
            self.port = free_port()
        self._java = await find_java()
        self._jars = await resolve_jars(self._cache, self._say)
        if self.data is None:
            self.data = Path(tempfile.mkdtemp(prefix="kotae-kafka-"))
        self.data.mkdir(parents=True, exist_ok=True)
        await self._format(self.data)
        await self._launch(self.data)

    async def kill(self) -> None:
        """SIGKILL the JVM, as a crash would; `restart` starts it again with its data on disk."""
        if self._child is not None:
            await self._child.kill()

    async def restart(self) -> None:
        """Start again after `kill`, on the same port with the same data."""
        if self.data is None or self.pid is not None:
            raise RuntimeError("only a broker that was started and killed can be started again")
        await self._launch(self.data)

    async def wait(self) -> int:
        """Wait until the JVM ends by itself, and return its exit code."""
        if self._child is None:
            raise RuntimeError("the broker was never started")
        return await self._child.wait()

    async def stop(self) -> None:
        """End the JVM, and remove a temporary data directory. May be called twice."""
        if self._child is not None:
            # An orderly end takes a second, which temporary data does not need.
            await (self._child.kill() if self.temporary else self._child.stop())
            self._child = None
        if self.temporary and self.data is not None:
            await asyncio.to_thread(shutil.rmtree, self.data, ignore_errors=True)
            self.data = None

    def _command(self, directory: Path, main: str, *arguments: str, options: Sequence[str] = ()) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={directory / 'log4j2.xml'}"
        return [self._java, "-Xmx512m", *options, logging, "-cp", f"{self._jars}/*", main, *arguments]

    async def _format(self, directory: Path) -> None:
        (directory / "log4j2.xml").write_text(_LOG4J)
        if (directory / "log" / "meta.properties").is_file():
            return
        self._configure(directory)
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        # With "=", because one id in 64 begins with a dash, and would be taken for an option.
        arguments = ["format", f"--cluster-id={cluster}", "--config", str(directory / "server.properties")]
        # The run is too short for an optimising compiler or a parallel collector to pay off.
        quick = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        command = self._command(directory, "kafka.tools.StorageTool", *arguments, options=quick)
        with self.log.open("ab") as output:
            if await run_to_end(command, output=output):
                raise OperatorError(f"Kafka could not format {directory}: {self.last_words()}")

    def _configure(self, directory: Path) -> None:
        properties = _PROPERTIES.format(
            port=self.port, controller_port=self._controller_port(), log_dir=directory / "log"
        )
        (directory / "server.properties").write_text(properties)

    def _controller_port(self) -> int:
        return free_port()

    async def _launch(self, directory: Path) -> None:
        self._configure(directory)
        properties = str(directory / "server.properties")
        command = self._command(directory, "kafka.Kafka", properties, options=["-XX:+ExitOnOutOfMemoryError"])
        with self.log.open("ab") as output:
            self._child = Child(command, output=output)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await serves(self.bootstrap_servers):
                    if self._child.exit_code is not None:
                        raise OperatorError(f"Kafka ended while it started: {self.last_words()}")
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise OperatorError(
                f"Kafka did not answer within {START_TIMEOUT_S:.0f} s: {self.last_words()}"
            ) from error


async def serves(bootstrap_servers: str) -> bool:
    """Whether a broker there answers a metadata request, rather than only accepts a connection."""
    host, _, port = bootstrap_servers.rpartition(":")
    try:
        # aiokafka logs an error for each refused connection, so this plain connection is tried first.
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    client = AIOKafkaClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=2000)
    try:
        await client.bootstrap()
    except (KafkaError, TimeoutError, OSError):
        return False
    else:
        return bool(client.cluster.brokers())
    finally:
        with contextlib.suppress(KafkaError, OSError):
            await client.close()
