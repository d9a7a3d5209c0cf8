from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from streams.consumer.lanes import Lanes


def test_only_the_head_of_a_lane_runs() -> None:
    lanes: Lanes[str] = Lanes()
    lanes.add(0, b"a", "a1")
    lanes.add(0, b"a", "a2")
    lanes.add(0, b"b", "b1")
    assert [lanes.take(), lanes.take(), lanes.take()] == ["a1", "b1", None]
    lanes.finish(0, b"a")
    assert lanes.take() == "a2"
    assert lanes.take() is None


def test_lanes_without_records_are_deleted() -> None:
    lanes: Lanes[str] = Lanes()
    lanes.add(0, b"a", "a1")
    lanes.add(0, b"a", "a2")
    for _ in range(2):
        assert lanes.take()
        lanes.finish(0, b"a")
    assert len(lanes) == 0


def test_the_same_key_in_two_partitions_is_two_lanes() -> None:
    lanes: Lanes[str] = Lanes()
    lanes.add(0, b"a", "p0")
    lanes.add(1, b"a", "p1")
    assert {lanes.take(), lanes.take()} == {"p0", "p1"}


def test_partitions_take_turns() -> None:
    lanes: Lanes[str] = Lanes()
    for number in range(5):
        lanes.add(0, number, f"flood {number}")
    lanes.add(1, b"k", "other")
    assert [lanes.take(), lanes.take()] == ["flood 0", "other"]


def test_a_dropped_partition_leaves_nothing_behind() -> None:
    lanes: Lanes[str] = Lanes()
    lanes.add(0, b"a", "a1")
    lanes.add(0, b"a", "a2")
    lanes.add(1, b"a", "kept")
    lanes.drop(0)
    assert lanes.take() == "kept"
    assert lanes.take() is None
    lanes.add(0, b"a", "again")
    assert lanes.take() == "again"


@given(st.data())
def test_every_record_runs_once_in_order_within_its_lane(data: st.DataObject) -> None:
    lanes: Lanes[tuple[int, int, int]] = Lanes()
    running: list[tuple[int, int, int]] = []
    started: dict[tuple[int, int], list[int]] = defaultdict(list)
    added = 0
    steps = data.draw(st.lists(st.sampled_from(["add", "take", "finish"]), max_size=120))
    for step in [*steps, *["take", "finish"] * 130]:
        if step == "add":
            partition, key = data.draw(st.integers(0, 2)), data.draw(st.integers(0, 3))
            lanes.add(partition, key, (partition, key, added))
            added += 1
        elif step == "take":
            work = lanes.take()
            if work is not None:
                assert all(work[:2] != other[:2] for other in running), "two of one lane at once"
                running.append(work)
                started[work[:2]].append(work[2])
        elif running:
            done = running.pop(data.draw(st.integers(0, len(running) - 1)) if step in steps else 0)
            lanes.finish(done[0], done[1])
    assert sum(map(len, started.values())) == added
    assert all(order == sorted(order) for order in started.values())
    assert len(lanes) == 0
