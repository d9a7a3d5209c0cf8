"""When an index may go on from where it has read: never where a deletion may have been missed."""

import math

import pytest

from streams.kafka.tombstones import kept_s
from streams.knowledge.resuming import Reached, resumed

DAY_S = 24 * 3600.0
NOW = 1_800_000_000.0

OURS = {
    "cleanup.policy": "compact",
    "delete.retention.ms": "86400000",
    "min.compaction.lag.ms": "604800000",
    "message.timestamp.type": "LogAppendTime",
}


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({}, 8 * DAY_S),
        ({"message.timestamp.type": "CreateTime"}, DAY_S),  # a producer's clock may be wrong
        ({"min.compaction.lag.ms": "0", "delete.retention.ms": "1000"}, 1.0),
        ({"cleanup.policy": "compact,delete"}, 8 * DAY_S),
        ({"cleanup.policy": "delete"}, math.inf),
    ],
)
def test_tombstones_are_kept_for_the_lag_and_then_the_retention(
    settings: dict[str, str], seconds: float
) -> None:
    assert kept_s(OURS | settings) == seconds


@pytest.mark.parametrize(
    ("reached", "problem"),
    [
        (Reached({0: 10}, NOW), ""),
        (Reached({0: 5}, NOW - DAY_S / 2), ""),
        (Reached({0: 20}, NOW), ""),
        (Reached({}, NOW), "other records"),
        (Reached({0: 4}, NOW), "offset 4"),
        (Reached({0: 21}, NOW), "offset 21"),
        (Reached({0: 10, 1: 3}, NOW), "partition 1"),
        (Reached({0: 10}, NOW - DAY_S), "24.0 hours ago"),
        (Reached({0: 10}, NOW + DAY_S), "-24.0 hours ago"),
        (Reached({0: 10}, 0.0), "hours ago"),
    ],
)
def test_an_index_goes_on_only_where_it_can_have_missed_nothing(reached: Reached, problem: str) -> None:
    read, said = resumed(reached, {0: 5}, {0: 20}, kept_s=DAY_S, now=NOW)
    assert problem in said
    assert bool(problem) == bool(said)
    assert problem or read == dict(reached.offsets)


def test_a_partition_that_was_added_is_read_from_its_beginning() -> None:
    reached = Reached({0: 10}, NOW)
    assert resumed(reached, {0: 5, 1: 2}, {0: 20, 1: 9}, kept_s=DAY_S, now=NOW) == ({0: 10, 1: 2}, "")


def test_a_topic_that_keeps_every_record_never_forces_a_comparison() -> None:
    reached = Reached({0: 10}, NOW - 1000 * DAY_S)
    assert resumed(reached, {0: 5}, {0: 20}, kept_s=math.inf, now=NOW)[1] == ""
