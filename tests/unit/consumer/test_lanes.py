import sys
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.consumer.lanes import Lanes


@dataclass(frozen=True)
class Item:
    name: str
    tenant: str = "default"
    partition: int = 0
    key: int = 0
    number: int = 0


def taken(lanes: Lanes[Item], most: int = 1000) -> str | None:
    item = lanes.take(most)
    return None if item is None else item.name


def test_only_the_head_of_a_lane_runs() -> None:
    lanes: Lanes[Item] = Lanes()
    lanes.add(0, b"a", Item("a1"))
    lanes.add(0, b"a", Item("a2"))
    lanes.add(0, b"b", Item("b1"))
    assert [taken(lanes), taken(lanes), taken(lanes)] == ["a1", "b1", None]
    lanes.finish(0, b"a")
    assert taken(lanes) == "a2"
    assert taken(lanes) is None


def test_lanes_without_records_are_deleted() -> None:
    lanes: Lanes[Item] = Lanes()
    lanes.add(0, b"a", Item("a1"))
    lanes.add(0, b"a", Item("a2"))
    for _ in range(2):
        assert taken(lanes)
        lanes.finish(0, b"a")
    assert len(lanes) == 0


def test_the_same_key_in_two_partitions_is_two_lanes() -> None:
    lanes: Lanes[Item] = Lanes()
    lanes.add(0, b"a", Item("p0"))
    lanes.add(1, b"a", Item("p1"))
    assert {taken(lanes), taken(lanes)} == {"p0", "p1"}


def test_partitions_take_turns() -> None:
    lanes: Lanes[Item] = Lanes()
    for number in range(5):
        lanes.add(0, number, Item(f"flood {number}"))
    lanes.add(1, b"k", Item("other"))
    assert [taken(lanes), taken(lanes)] == ["flood 0", "other"]


def test_tenants_take_turns_however_many_partitions_one_fills() -> None:
    lanes: Lanes[Item] = Lanes()
    for number in range(30):
        lanes.add(number % 3, number, Item(f"flood {number}", "loud"))
    for number in range(2):
        lanes.add(0, f"quiet {number}", Item(f"quiet {number}", "quiet"))
    assert [taken(lanes) for _ in range(4)] == ["flood 0", "quiet 0", "flood 1", "quiet 1"]
    assert taken(lanes) == "flood 2"


def test_a_tenant_at_its_share_waits_and_the_others_go_on() -> None:
    lanes: Lanes[Item] = Lanes()
    loud = [Item(f"flood {number}", "loud") for number in range(3)]
    for number, item in enumerate(loud):
        lanes.add(0, number, item)
    assert [taken(lanes, 2) for _ in range(3)] == ["flood 0", "flood 1", None]
    lanes.add(0, b"k", Item("quiet", "quiet"))
    assert taken(lanes, 2) == "quiet"
    lanes.release(loud[0])
    assert taken(lanes, 2) == "flood 2"


def test_wanted_records_are_taken_beyond_a_share_and_the_others_keep_their_turns() -> None:
    lanes: Lanes[Item] = Lanes()
    for number in range(6):
        lanes.add(number % 2, number, Item(f"{number}", "ab"[number // 3], number=number))
    lanes.add(0, 0, Item("behind", "a"))
    late = lanes.take_if(lambda item: item.number < 4, 3)
    assert sorted(item.name for item in late) == ["0", "1", "2"]
    assert (lanes.running("a"), lanes.running("b")) == (3, 0)
    assert [taken(lanes) for _ in range(4)] == ["3", "4", "5", None]
    lanes.finish(0, 0)
    assert taken(lanes) == "behind"


@pytest.mark.parametrize("tenants", [1, 1000])
def test_the_cost_of_taking_a_wanted_record_does_not_grow_with_their_number(tenants: int) -> None:
    def steps(count: int) -> float:
        """Calls that each of them takes."""
        lanes: Lanes[Item] = Lanes()
        for number in range(count):
            lanes.add(0, number, Item("", tenant=f"tenant {number % tenants}", number=number))
        calls = 0

        def count_calls(_frame: Any, event: str, _argument: Any) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(count_calls)
        try:
            while lanes.take_if(lambda _: True, 10):
                pass
        finally:
            sys.setprofile(None)
        return calls / count

    assert steps(1000) < 1.2 * steps(100)


def test_a_record_that_is_put_back_is_the_next_of_its_tenant() -> None:
    lanes: Lanes[Item] = Lanes()
    for number in range(3):
        lanes.add(0, number, Item(f"{number}"))
    first = lanes.take(9)
    assert first is not None
    lanes.release(first)
    lanes.put_back(0, first)
    assert [taken(lanes) for _ in range(3)] == ["0", "1", "2"]


def test_a_dropped_partition_leaves_nothing_behind() -> None:
    lanes: Lanes[Item] = Lanes()
    lanes.add(0, b"a", Item("a1"))
    lanes.add(0, b"a", Item("a2"))
    lanes.add(0, b"b", Item("b1", "other"))
    lanes.add(1, b"a", Item("kept"))
    lanes.drop(0)
    assert taken(lanes) == "kept"
    assert taken(lanes) is None
    lanes.add(0, b"a", Item("again"))
    assert taken(lanes) == "again"


def names(items: list[Item]) -> list[str]:
    return [item.name for item in items]


def test_no_more_wanted_records_are_taken_than_asked_for_over_all_partitions() -> None:
    lanes: Lanes[Item] = Lanes()
    for key in range(3):
        for partition in range(2):
            lanes.add(partition, key, Item(f"{partition}.{key}"))
    assert names(lanes.take_if(lambda _: True, 2)) == ["0.0", "0.1"]
    assert names(lanes.take_if(lambda _: True, 3)) == ["0.2", "1.0", "1.1"]
    assert names(lanes.take_if(lambda _: True, 9)) == ["1.2"]


def test_wanted_records_are_found_behind_a_partition_that_has_none() -> None:
    lanes: Lanes[Item] = Lanes()
    for partition in range(3):
        lanes.add(partition, b"k", Item(f"{partition}"))
    assert names(lanes.take_if(lambda item: item.name == "2", 9)) == ["2"]
    assert [taken(lanes), taken(lanes), taken(lanes)] == ["0", "1", None]


def test_a_record_that_became_a_head_is_dropped_with_its_partition() -> None:
    lanes: Lanes[Item] = Lanes()
    lanes.add(0, b"a", Item("first"))
    lanes.add(0, b"a", Item("second"))
    assert taken(lanes) == "first"
    lanes.finish(0, b"a")
    lanes.drop(0)
    assert taken(lanes) is None


def test_a_dropped_partition_leaves_a_tenant_alone_that_had_no_record_in_it() -> None:
    lanes: Lanes[Item] = Lanes()
    lanes.add(0, b"a", Item("a", "mine", 0))
    lanes.add(1, b"a", Item("b", "other", 1))
    lanes.drop(0)
    assert [taken(lanes), taken(lanes)] == ["b", None]


def test_a_tenant_without_records_for_a_while_is_forgotten() -> None:
    lanes: Lanes[Item] = Lanes()
    item = Item("a")
    lanes.add(0, b"a", item)
    lanes.sweep()
    lanes.sweep()
    assert lanes.tenants == 1
    assert lanes.take(9) is item
    lanes.finish(0, b"a")
    lanes.sweep()
    lanes.sweep()
    assert lanes.tenants == 1
    lanes.release(item)
    lanes.sweep()
    assert lanes.tenants == 1
    lanes.sweep()
    assert lanes.tenants == 0


def test_a_tenant_that_had_a_record_since_the_last_sweep_is_kept_until_the_next() -> None:
    lanes: Lanes[Item] = Lanes()
    item = Item("a")
    lanes.add(0, b"a", item)
    assert lanes.take(9) is item
    lanes.finish(0, b"a")
    lanes.release(item)
    lanes.sweep()
    assert lanes.tenants == 1
    lanes.sweep()
    assert lanes.tenants == 0


@given(st.data())
def test_every_record_runs_once_in_order_within_its_lane(data: st.DataObject) -> None:
    lanes: Lanes[Item] = Lanes()
    most = data.draw(st.integers(1, 3))
    running: list[Item] = []
    started: dict[tuple[int, int], list[int]] = defaultdict(list)
    added = 0
    actions = st.sampled_from(["add", "add", "take", "take_if", "finish"])
    steps = data.draw(st.lists(actions, min_size=10, max_size=120))
    for step in [*steps, *["take", "finish"] * 130]:
        if step == "add":
            # So few lanes that several records wait in one, which shows their order.
            partition, key = data.draw(st.sampled_from([(0, 0), (0, 1), (1, 0)]))
            tenant = data.draw(st.sampled_from("abc"))
            lanes.add(partition, key, Item("", tenant, partition, key, added))
            added += 1
        elif step in ("take", "take_if"):
            if step == "take":
                items = [item for item in [lanes.take(most)] if item is not None]
                assert all(lanes.running(item.tenant) <= most for item in items)
            else:
                items = lanes.take_if(lambda item: item.number % 3 == 0, most)
                assert len(items) <= most
            for item in items:
                lane = item.partition, item.key
                assert all(lane != (other.partition, other.key) for other in running), "two of one lane"
                running.append(item)
                started[lane].append(item.number)
            for tenant in "abc":
                assert lanes.running(tenant) == sum(item.tenant == tenant for item in running)
        elif running:
            done = running.pop(data.draw(st.integers(0, len(running) - 1)) if step in steps else 0)
            lanes.release(done)
            lanes.finish(done.partition, done.key)
    assert sum(map(len, started.values())) == added
    assert all(order == sorted(order) for order in started.values())
    assert len(lanes) == 0
