"""One aiokafka consumer as a member of its group: the only module that reaches into that consumer.

aiokafka has no public way to a member's generation, its id, its heartbeats and its exact position, nor to
end a consumer of which `stop` hangs. Its private names are kept here, so that a new version of aiokafka
changes this module and no other.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import TopicPartition

from streams.kafka.closing import within
from streams.kafka.transactions import UNKNOWN, Progress, progress_of

EXPELLED = -1
"""The generation of a member that is in no group, or was expelled from it."""


class GroupMember:
    """A consumer, and its membership of a group.

    Args:
        consumer: an `AIOKafkaConsumer` with a group, not started.

    Attributes:
        consumer: for all that aiokafka offers in public.
    """

    def __init__(self, consumer: Any) -> None:
        self.consumer = consumer
        self._heeded: Any = None

    @property
    def generation(self) -> int:
        """The generation of the group that we are in; `EXPELLED` in none.

        aiokafka would commit without a fence in the latter state, and has no public sign of it.
        """
        coordinator = self._coordination
        return EXPELLED if coordinator is None else int(coordinator.generation)

    def adopt(self, member_id: str) -> None:
        """Join as this member, which an earlier consumer was. Call it between `start` and `subscribe`.

        Before it has a subscription, aiokafka's coordinator does nothing.
        """
        self._coordination.member_id = member_id

    def forget(self) -> str:
        """Have `stop` leave the group in the belief that the member lives on.

        Returns:
            The id of the member, for another consumer to adopt; empty where there is none.
        """
        coordinator = self._coordination
        if coordinator is None or not coordinator.member_id:
            return ""
        coordinator.generation = EXPELLED  # a member of no group does not tell the group that it leaves
        return str(coordinator.member_id)

    def heed_heartbeats(self, clock: Callable[[], float], answered: Callable[[float], None]) -> None:
        """Call `answered` with the time at which each heartbeat was sent that the group answers well.

        A heartbeat that is answered with an error is none: it says that we are expelled. A second call
        changes nothing.
        """
        coordinator = self._coordination
        if self._heeded is coordinator:
            return
        self._heeded = coordinator
        send: Callable[[], Awaitable[bool]] = coordinator._do_heartbeat

        async def heartbeat() -> bool:
            sent_at = clock()
            well = await send()
            if well:
                answered(sent_at)
            return well

        coordinator._do_heartbeat = heartbeat

    def progress(self, partition: TopicPartition) -> Progress:
        """Return how far a partition was read. Unlike aiokafka's `position`, it does not wait."""
        subscription = self.consumer._subscription.subscription
        if subscription is None or partition not in self.consumer.assignment():
            return UNKNOWN
        state = subscription.assignment.state_value(partition)
        if not state.has_valid_position:
            return UNKNOWN
        return progress_of(state.position, state.lso, state.highwater)

    async def kill(self, timeout_s: float) -> None:
        """Stop the consumer within `timeout_s`; the parts of it that hang are cancelled.

        `stop` hangs at the first part that does not end, and the parts behind it would go on.
        """
        if await within(timeout_s / 2, self.consumer.stop()):
            return
        coordinator, fetcher = self._coordination, self.consumer._fetcher
        if coordinator is not None:
            for task in (coordinator._coordination_task, coordinator._heartbeat_task):
                if task is not None:
                    task.cancel()
        if fetcher is not None:
            await within(timeout_s / 4, fetcher.close())
        await within(timeout_s / 4, self.consumer._client.close())

    @property
    def _coordination(self) -> Any:
        """None before the consumer was started."""
        return self.consumer._coordinator
