"""Whether an index may go on from where it has read `documents`. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from streams.kafka.reading import MACHINES_SKEW_MS


@dataclass(frozen=True, slots=True)
class Reached:
    """How far an index has read: the next offset by partition, and when these were the topic's ends.

    `current_at` is in unix seconds. No deletion that the index has not read is older.
    """

    offsets: Mapping[int, int]
    current_at: float


def resumed(
    reached: Reached, begins: Mapping[int, int], ends: Mapping[int, int], *, kept_s: float, now: float
) -> tuple[dict[int, int], str]:
    """Return the offset of each partition to go on from, and why that will not do; empty: it will.

    Args:
        begins: the first offset of each partition of the topic.
        ends: the end of each.
        kept_s: for how long the topic surely keeps a tombstone.
        now: in unix seconds.
    """
    read = {number: reached.offsets.get(number, begin) for number, begin in begins.items()}
    if not reached.offsets:
        return read, "the index holds other records, or not all"
    for number, at in reached.offsets.items():
        if not begins.get(number, at) <= at <= ends.get(number, -1):
            return read, f"partition {number} does not reach from offset {at} on any more"
    away_s = now - reached.current_at
    if not 0 <= away_s + MACHINES_SKEW_MS / 1000 <= kept_s:
        return read, (
            f"the index is of {away_s / 3600:.1f} hours ago, and deletions are kept for "
            f"{kept_s / 3600:.1f} hours only"
        )
    return read, ""
