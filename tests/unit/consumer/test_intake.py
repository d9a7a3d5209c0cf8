import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.consumer.intake import MAX_POLL, Intake


def intake(partitions: int = 2, **limits: int) -> Intake:
    made = Intake(**({"max_in_flight": 10, "max_buffered": 20, "max_bytes": 1000} | limits))
    for partition in range(partitions):
        made.assign(partition)
    return made


def test_a_partition_is_fetched_from_until_its_share_is_full() -> None:
    made = intake()
    for _ in range(9):
        made.received(0, 1)
    assert made.hungry == {0, 1}
    made.received(0, 1)
    assert made.hungry == {1}


def test_a_partition_is_hungry_again_when_half_of_its_share_has_drained() -> None:
    made = intake()
    for _ in range(10):
        made.received(0, 1)
    hungry = []
    for _ in range(7):
        made.started(0, 1)
        hungry.append(0 in made.hungry)
    assert hungry == [False] * 4 + [True] * 3


def test_large_records_fill_a_share_by_their_bytes() -> None:
    made = intake()
    made.received(0, 600)
    assert made.hungry == {1}
    made.started(0, 600)
    assert made.hungry == {0, 1}


@pytest.mark.parametrize(
    ("records", "size", "full"), [(5, 1, False), (6, 1, True), (1, 332, False), (1, 333, True)]
)
def test_a_share_is_rounded_down(records: int, size: int, full: bool) -> None:
    made = intake(3)
    for _ in range(records):
        made.received(0, size)
    assert (0 not in made.hungry) is full


def test_a_share_is_a_byte_at_least() -> None:
    made = intake(2, max_bytes=1)
    made.received(0, 1)
    assert made.hungry == {1}


@pytest.mark.parametrize(("records", "size"), [(1, 500), (10, 1)])
def test_a_partition_that_just_fills_its_smaller_share_is_not_hungry(records: int, size: int) -> None:
    made = intake(1)
    for _ in range(records):
        made.received(0, size)
    assert made.hungry == {0}
    made.assign(1)
    assert made.hungry == {1}


def test_no_more_questions_start_than_max_in_flight() -> None:
    made = intake(max_in_flight=1)
    made.received(0, 5)
    made.received(0, 5)
    made.started(0, 5)
    assert not made.slots
    made.finished(5)
    assert made.slots


def test_outcomes_that_wait_for_the_broker_take_no_slot_and_are_bounded() -> None:
    made = intake(max_in_flight=1, max_buffered=4)
    for waiting in range(4):
        assert made.slots
        made.received(0, 5)
        made.started(0, 5)
        made.free_slot()
        assert made.in_flight == waiting + 1
    assert not made.slots
    made.finished(5, without_slot=True)
    assert made.slots
    made.received(0, 5)
    made.started(0, 5)
    assert not made.slots


def test_bytes_of_running_questions_are_bounded() -> None:
    made = intake()
    made.received(0, 1000)
    made.started(0, 1000)
    assert made.in_flight < made.capacity.limit
    assert not made.slots


def test_a_dropped_partition_gives_its_room_back_while_its_running_records_still_count() -> None:
    made = intake()
    made.received(0, 5)
    made.received(0, 5)
    made.started(0, 5)
    made.drop(0)
    assert (made.buffered, made.in_flight, made.hungry) == (0, 1, {1})
    made.finished(5)
    assert (made.in_flight, made.running_bytes) == (0, 0)


def test_a_poll_takes_no_more_than_there_is_room_for() -> None:
    made = intake(max_buffered=10)
    assert made.room == 10
    made.received(0, 1)
    assert made.room == 9
    assert intake(max_buffered=100_000).room == MAX_POLL


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 400), st.booleans()), max_size=200),
    st.integers(1, 30),
)
def test_memory_is_bounded_and_nothing_starves(steps: list[tuple[int, int, bool]], max_buffered: int) -> None:
    made = intake(partitions=3, max_buffered=max_buffered, max_in_flight=5)
    waiting: dict[int, list[int]] = {0: [], 1: [], 2: []}
    running: list[int] = []
    for partition, size, poll in steps:
        if poll and partition in made.hungry:
            waiting[partition].append(size)
            made.received(partition, size)
        elif waiting[partition] and made.slots:
            running.append(waiting[partition].pop(0))
            made.started(partition, running[-1])
        elif running:
            made.finished(running.pop())
        assert made.buffered == sum(map(len, waiting.values()))
        assert made.buffered <= max(3, max_buffered)
        assert made.in_flight == len(running) <= 5
        assert made.running_bytes == sum(running) < 1000 + 400
        assert made.buffered_bytes == sum(map(sum, waiting.values())) < 1000 + 3 * 400
    for partition, sizes in waiting.items():
        if not sizes:
            assert partition in made.hungry


def test_a_partition_is_hungry_again_when_half_of_its_bytes_have_drained() -> None:
    intake = Intake(max_in_flight=9, max_buffered=1000, max_bytes=100)
    intake.assign(0)
    for size in (1, 49, 50):
        intake.received(0, size)
    assert intake.hungry == set()
    intake.started(0, 1)
    assert (intake.hungry, intake.running_bytes) == (set(), 1)
    intake.started(0, 49)
    assert (intake.hungry, intake.running_bytes) == ({0}, 50)


def test_a_tenant_may_always_run_one_question() -> None:
    assert Intake(max_in_flight=8, max_buffered=9, max_bytes=9, tenant_share=0.01).most_of(2) == 1
