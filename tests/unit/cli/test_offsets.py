"""The lines of `kotae offsets show`, from the broker's commits. Pure."""

from hypothesis import given
from hypothesis import strategies as st

from streams.cli.offsets import RANGES_SHOWN, lines
from streams.consumer.offset_map import encode
from streams.operations.group_offsets import Commit, PartitionOffsets, describe

NOW = 1_800_000_000.0


def left(
    offset: int, completed: list[int], *, start: int = 0, end: int = 100, limit: int = 4096
) -> PartitionOffsets:
    commit = Commit(offset, encode(offset, completed, 7, limit).metadata)
    return describe(0, commit, start=start, end=end, oldest_timestamp_ms=int(NOW * 1000) - 61_500)


def shown(partition: PartitionOffsets) -> list[str]:
    return list(lines("kotae", [partition], NOW))[2:]


@given(st.integers(0, 1_000), st.sets(st.integers(1, 200)), st.integers(0, 300))
def test_incomplete_ranges_and_completed_offsets_cover_every_offset(
    commit_point: int, done: set[int], beyond: int
) -> None:
    completed = sorted(commit_point + i for i in done)
    end = max([commit_point, *completed]) + 1 + beyond
    partition = left(commit_point, completed, end=end)
    incomplete = {offset for first, last in partition.incomplete for offset in range(first, last + 1)}
    assert incomplete.isdisjoint(completed)
    assert incomplete | set(completed) == (set(range(commit_point, completed[-1] + 1)) if done else set())
    assert partition.lag == end - commit_point - len(completed)
    assert all(a[1] + 1 < b[0] for a, b in zip(partition.incomplete, partition.incomplete[1:], strict=False))


def test_a_partition_is_a_row_with_its_incomplete_ranges_below() -> None:
    assert list(lines("kotae", [left(40, [42, 43, 50])], NOW)) == [
        "group kotae",
        "partition  committed  end  lag  done above     oldest  scan from",
        "        0         40  100   57           3  1 min 1 s          7",
        "           incomplete: 40-41, 44-49",
    ]


def test_a_partition_that_an_open_transaction_holds_says_so() -> None:
    commit = Commit(30, "")
    held = describe(0, commit, start=0, end=30, written=37, oldest_timestamp_ms=None)
    assert (held.lag, held.held) == (0, 7)
    assert "transaction is open since offset 30, and 7 offsets" in shown(held)[1]
    # It ended between the two looks, or never was.
    for written in (29, 30):
        free = describe(0, commit, start=0, end=30, written=written, oldest_timestamp_ms=None)
        assert (free.held, shown(free)[1:]) == (0, [])


def test_a_partition_without_a_commit_has_no_commit_point_and_no_ranges() -> None:
    partition = describe(0, None, start=10, end=30, oldest_timestamp_ms=None)
    assert (partition.lag, partition.map, partition.incomplete) == (20, "none", ())
    assert shown(partition) == ["        0          -   30   20           0       -          -"]


def test_a_partition_whose_last_offsets_hold_no_record_has_no_lag() -> None:
    commit = Commit(29, "")
    partition = describe(0, commit, start=10, end=30, oldest_timestamp_ms=None, done=True)
    assert partition.lag == 0
    assert describe(0, commit, start=10, end=30, oldest_timestamp_ms=None).lag == 1


def test_at_most_twelve_ranges_are_shown() -> None:
    [_, note] = shown(left(0, list(range(1, 80, 2))))
    assert note.endswith(f"22 and {40 - RANGES_SHOWN} more ranges")


def test_a_stripped_map_is_noted() -> None:
    partition = left(0, list(range(1, 80, 2)), limit=12)
    assert (partition.map, partition.completed, partition.scan_from) == ("stripped", 0, None)
    assert "too long" in shown(partition)[1]


def test_foreign_metadata_is_noted() -> None:
    partition = describe(0, Commit(5, "written by somebody"), start=0, end=9, oldest_timestamp_ms=None)
    assert (partition.map, partition.lag) == ("foreign", 4)
    assert "is not an offset map of Kotae" in shown(partition)[1]


def test_empty_metadata_is_not_noted() -> None:
    partition = describe(0, Commit(5, ""), start=0, end=9, oldest_timestamp_ms=None)
    assert partition.map == "none"
    assert len(shown(partition)) == 1


def test_offsets_past_their_retention_are_noted_and_not_counted_as_lag() -> None:
    partition = left(10, [12, 60], start=50)
    assert partition.lag == 49
    assert (
        shown(partition)[-1].strip()
        == "the log now begins at 50: 40 uncommitted offsets passed their retention"
    )


def test_a_log_that_ends_before_the_commit_point_is_noted() -> None:
    partition = left(200, [202])
    assert partition.lag == 0
    assert "deleted and created again" in shown(partition)[-1]
