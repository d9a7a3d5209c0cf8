"""Decides where the copy of an answer goes, and which pieces go with it. Pure."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from schemas.errors import WarningCode
from schemas.headers import UNREADABLE_PARTITION, RequestHeaders
from schemas.topics import Topics


@dataclass(frozen=True, slots=True)
class ReplyPlace:
    """The topic that a question names for its reply, and the partition; None leaves that to the key.

    Attributes:
        refused: why no reply goes there, for the log; empty: it does.
        warning: the same for the asker; empty: nothing that an asker of good will should be told.
    """

    topic: str
    partition: int | None = None
    refused: str = ""
    warning: str = ""


class ReplyTopics:
    """The topics that replies may go to.

    Args:
        allowed: the operator's; our own topics never count, but `answers.replies` always does.
        partitions: returns how many partitions a topic has; 0: it is not known.
    """

    def __init__(
        self, topics: Topics, allowed: Collection[str], partitions: Callable[[str], int] = lambda _: 0
    ) -> None:
        self._answers = topics.answers
        self._allowed = (frozenset(allowed) - topics.own) | {topics.replies}
        self._partitions = partitions

    @property
    def names(self) -> frozenset[str]:
        """All of them."""
        return self._allowed

    def place(self, request: RequestHeaders) -> ReplyPlace | None:
        """Return where the reply goes, or why none does; None: the question asks for none beside `answers`.

        A partition that the topic does not have is no other one: its reader reads one partition alone.
        """
        topic, partition = request.reply_to, request.reply_partition
        if topic is None or topic == self._answers:
            return None
        if topic not in self._allowed:
            return ReplyPlace(topic, refused="KOTAE_KAFKA__REPLY_TOPICS does not name it")
        if partition is None:
            return ReplyPlace(topic)
        count = self._partitions(topic)
        if partition == UNREADABLE_PARTITION:
            problem = "the partition that the question names is no number"
        elif count and partition >= count:
            problem = f"the question names partition {partition} of {topic}, which has {count}, from 0 on"
        else:
            return ReplyPlace(topic, partition)
        return ReplyPlace(
            topic,
            refused="the question names a partition that the topic does not have",
            warning=f"{WarningCode.UNUSABLE_REPLY_PARTITION}: {problem}; no reply was sent",
        )
