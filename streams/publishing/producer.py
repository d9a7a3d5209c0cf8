"""The life of one aiokafka producer: opened, replaced after a failure, closed within bounds."""

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from aiokafka.partitioner import DefaultPartitioner

from streams.process.backoff import Backoff
from streams.publishing.records import Record

log = logging.getLogger(__name__)

CLOSE_S = 3.0
LOOK_S = 0.5
"""Least time between two requests for metadata about a missing topic or leader."""

_partition_of = DefaultPartitioner()


class ProducerConnection:
    """A producer and its view of the cluster.

    Args:
        open_producer: makes a producer that is not started.
        topics: looked up before the first record; they must exist at the start.
        changed: called when there may be news of the cluster.

    Attributes:
        producer: the one in use.
    """

    def __init__(
        self,
        open_producer: Callable[[], AIOKafkaProducer],
        topics: Collection[str],
        changed: Callable[[], None],
    ) -> None:
        self.producer: Any = None
        self._open_producer = open_producer
        self._topics = topics
        self._changed = changed
        self._counts: dict[str, int] = {}
        self._looked = 0.0

    async def open(self) -> None:
        """Connect.

        Raises:
            KafkaError: there is no broker, or a topic is missing.
        """
        await self._start()
        for topic in self._topics:
            await self.producer.partitions_for(topic)

    async def replace(self) -> None:
        """Close the producer and open another. Repeats until that succeeds."""
        log.warning("replacing the producer: the broker refused a record, or their sequences differ")
        await self.aclose(CLOSE_S)
        backoff = Backoff()
        while True:
            try:
                await self._start()
                # A topic that is gone by now costs its own records their place, but no others.
                for topic in self._topics:
                    self.producer.client.add_topic(topic)
                await self.producer.client.force_metadata_update()
                break
            except KafkaError as error:
                delay = backoff.wait_s()
                log.warning("the new producer cannot connect; next attempt in %.1f s: %r", delay, error)
                await self.aclose(CLOSE_S)
                await asyncio.sleep(delay)

    async def aclose(self, timeout_s: float) -> None:
        """Stop within the given time. Without a broker, aiokafka's `stop` would wait for ever."""
        if self.producer is None:
            return
        stopping = asyncio.create_task(self.producer.stop())
        await asyncio.wait({stopping}, timeout=timeout_s)
        if not stopping.done():
            stopping.cancel()
            await asyncio.wait({stopping}, timeout=timeout_s)
            await self.producer.client.close()
        if stopping.done() and not stopping.cancelled():
            stopping.exception()  # each record's sender has been told already

    def partition(self, record: Record) -> int:
        """Return the partition that the record goes to.

        Raises:
            UnknownTopicOrPartitionError: there is none; its topic is looked up again.
        """
        count = self.partitions(record.topic)
        if not count:
            self.look()
            raise UnknownTopicOrPartitionError(f"there is no topic {record.topic}")
        partition = record.partition
        if partition is None:
            partition = _partition_of(record.key, range(count), range(count))
        elif partition >= count:
            if record.exact:
                self.look()  # it may have been added since
                raise UnknownTopicOrPartitionError(f"{record.topic} has no partition {partition}")
            partition %= count
        return int(partition)

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has; 0: it is not known yet, or not there."""
        count = self._counts.get(topic)
        if count is None:
            cluster = self.producer.client.cluster if self.producer is not None else None
            count = len(cluster.partitions_for_topic(topic) or ()) if cluster is not None else 0
            if count:
                self._counts[topic] = count
        return count

    def leads(self, topic: str, partition: int) -> bool:
        """Whether a broker leads the partition, as far as we know.

        Only then may a batch be handed over: the producer would hold it for a missing topic, and would
        hold other batches while it looks for a leader.
        """
        leader = self.producer.client.cluster.leader_for_partition(TopicPartition(topic, partition))
        return leader is not None and leader != -1

    async def areachable(self, timeout_s: float) -> bool:
        """Whether a broker answers within that time."""
        try:
            async with asyncio.timeout(timeout_s):
                return bool(await self.producer.client.force_metadata_update())
        except (KafkaError, TimeoutError):
            return False

    def look(self) -> None:
        """Ask the cluster for its topics in the background, at most every `LOOK_S`."""
        now = asyncio.get_running_loop().time()
        if now >= self._looked + LOOK_S:
            self._looked = now
            self.producer.client.force_metadata_update()

    async def _start(self) -> None:
        self.producer = self._open_producer()
        await self.producer.start()
        self.producer.client.cluster.add_listener(self._cluster_changed)

    def _cluster_changed(self, _: Any) -> None:
        self._counts.clear()
        self._changed()
