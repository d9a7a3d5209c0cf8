"""A replacement for a broker without Java or Maven: the cluster inside confluent-kafka's wheel.

librdkafka's mock cluster speaks the protocol well enough for one producer, one consumer and commits. Its
rebalances are unreliable, and it knows no topic settings: it serves only the demo, with one worker.
"""

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from streams.settings.errors import OperatorError

NOTICE = (
    "no Java or Maven here: using the in-process cluster of confluent-kafka instead of a real broker; "
    "it keeps nothing, and serves one worker"
)
_TIMEOUT_S = 10.0


class InProcessCluster:
    """One mock broker in this process, on a loopback port; use it with `async with`.

    Args:
        topics: the topics to make; the cluster gives every topic four partitions.
    """

    def __init__(self, topics: Iterable[str]) -> None:
        self.bootstrap_servers = ""
        self._topics = tuple(topics)
        self._owner: Any = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the cluster and make the topics.

        Raises:
            OperatorError: confluent-kafka is not installed.
        """
        try:
            from confluent_kafka import Producer  # noqa: PLC0415 - an extra that only the demo needs
        except ImportError as error:
            raise OperatorError(
                "there is no broker: install Java 17 and Maven, or 'kotae[demo]' for the in-process "
                "cluster, or name your cluster in KOTAE_KAFKA__BOOTSTRAP_SERVERS"
            ) from error
        self._owner = Producer({"test.mock.num.brokers": 1, "log_level": 0})
        described = await asyncio.to_thread(self._owner.list_topics, timeout=_TIMEOUT_S)
        self.bootstrap_servers = ",".join(
            f"{broker.host}:{broker.port}" for broker in described.brokers.values()
        )
        for topic in self._topics:
            # The only way to make a topic here is to ask for it.
            await asyncio.to_thread(self._owner.list_topics, topic, timeout=_TIMEOUT_S)

    async def stop(self) -> None:
        """End the cluster, and with it all records. May be called twice."""
        # The cluster ends with the last reference to the client that made it.
        owner, self._owner = self._owner, None
        del owner
