"""How far the feed has read `documents`, as it tells and saves it."""

from collections.abc import Mapping
from typing import Any

from streams.knowledge.consumer import OpenTransactions
from streams.knowledge.rebuilding import Rebuild


class Progress:
    """The progress of one feed.

    Attributes:
        goal: the end of each partition when the feed began; empty: not known yet.
        read: the next offset of each partition: all records before it are in the index. Empty: not known,
            or the index is being rebuilt.
        caught_up: whether the index holds all that the topic held when the feed began; stays true.
        rebuild: the rebuild that goes on, if one does.
        transactions: those that others have left open.
    """

    def __init__(self) -> None:
        self.goal: Mapping[int, int] = {}
        self.read: dict[int, int] = {}
        self.caught_up = False
        self.rebuild: Rebuild | None = None
        self.transactions = OpenTransactions()

    def __repr__(self) -> str:
        return f"<Progress {self.read} of {self.goal}>"

    def just_caught_up(self) -> bool:
        """Note whether the feed has caught up; true once, when it has."""
        if self.caught_up or any(self.read.get(number, 0) < end for number, end in self.goal.items()):
            return False
        self.caught_up = True
        return True

    def notes(self) -> list[str]:
        """For readiness: how far a rebuild is."""
        return [] if self.rebuild is None else [self.rebuild.note()]

    def state(self) -> dict[str, Any]:
        """Return its part of `/state`."""
        return {
            "caught_up": self.caught_up,
            "partitions": {
                str(partition): {
                    "next_offset": self.read.get(partition),
                    "end_at_start": end,
                    "open_transaction_s": round(self.transactions.held_s(partition), 3),
                }
                for partition, end in sorted(self.goal.items())
            },
            "rebuild": None if self.rebuild is None else self.rebuild.state(),
        }
