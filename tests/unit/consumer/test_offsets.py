import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.consumer.offsets import OffsetTracker


def tracker(*offsets: int) -> OffsetTracker:
    made = OffsetTracker(epoch=1)
    for offset in offsets:
        made.polled(offset, now=0.0)
    return made


def test_nothing_polled_commits_nothing() -> None:
    assert tracker().commit_point is None


def test_the_commit_point_is_the_lowest_incomplete() -> None:
    made = tracker(100, 101, 102)
    made.complete(101)
    made.complete(102)
    assert made.commit_point == 100
    assert made.incomplete_count == 1


def test_the_commit_point_is_past_everything_once_all_is_done() -> None:
    made = tracker(5, 6)
    made.complete(6)
    made.complete(5)
    assert made.commit_point == 7
    assert made.incomplete_count == 0


def test_gaps_left_by_compaction_hold_nothing_up() -> None:
    made = tracker(10, 15, 400)
    made.complete(10)
    assert made.commit_point == 15
    made.complete(15)
    assert made.commit_point == 400


def test_the_commit_point_passes_the_markers_at_the_end_once_all_below_is_done() -> None:
    made = tracker(10, 11)
    made.pass_over(13)
    assert made.commit_point == 10
    assert made.next == 13
    made.complete(11)
    made.complete(10)
    assert made.commit_point == 13
    assert made.changes == 2
    made.polled(13, now=0.0)
    assert made.commit_point == 13
    assert made.incomplete_count == 1


def test_markers_alone_are_a_change_that_is_committed() -> None:
    made = tracker()
    made.pass_over(3)
    made.pass_over(2)
    assert (made.commit_point, made.changes, made.next) == (3, 1, 3)


def test_each_offset_that_was_completed_before_is_one_change() -> None:
    made = OffsetTracker(1, {5, 6})
    assert not made.polled(5, 0.0)
    assert not made.polled(6, 0.0)
    assert made.changes == 2


def test_a_marker_that_is_passed_over_is_one_change() -> None:
    made = tracker(1)
    made.complete(1)
    for expected in (2, 2):
        made.pass_over(3)
        assert made.changes == expected


@pytest.mark.parametrize("offset", [0, 11, 99])
def test_an_offset_that_was_not_polled_cannot_complete(offset: int) -> None:
    with pytest.raises(ValueError, match="not incomplete"):
        tracker(10, 20).complete(offset if offset != 11 else 21)


def test_an_offset_cannot_complete_twice() -> None:
    made = tracker(1, 2)
    made.complete(2)
    with pytest.raises(ValueError, match="not incomplete"):
        made.complete(2)


def test_offsets_are_polled_in_order() -> None:
    with pytest.raises(ValueError, match=r"^offset 5 polled after 5$"):
        tracker(5, 5)


def test_the_age_is_that_of_the_lowest_incomplete() -> None:
    made = OffsetTracker(epoch=1)
    made.polled(1, 10.0)
    made.polled(2, 10.0)
    made.polled(3, 12.0)
    assert made.oldest_age(15.0) == 5.0
    made.complete(1)
    assert made.oldest_age(15.0) == 5.0
    made.complete(2)
    assert made.oldest_age(15.0) == 3.0
    made.complete(3)
    assert made.oldest_age(15.0) == 0.0


@given(
    gaps=st.lists(st.integers(1, 5), min_size=1, max_size=40),
    order=st.randoms(use_true_random=False),
    polls=st.lists(st.booleans(), min_size=80, max_size=80),
)
def test_the_tracker_agrees_with_a_naive_model(gaps: list[int], order, polls: list[bool]) -> None:
    made = OffsetTracker(epoch=1)
    to_poll = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    polled: dict[int, float] = {}
    incomplete: list[int] = []
    clock = 0.0
    for poll in polls:
        clock += 1.0
        if poll and to_poll:
            offset = to_poll.pop(0)
            made.polled(offset, clock)
            polled[offset] = clock
            incomplete.append(offset)
        elif incomplete:
            made.complete(incomplete.pop(order.randrange(len(incomplete))))
        incomplete.sort()
        expected = incomplete[0] if incomplete else (max(polled) + 1 if polled else None)
        assert made.commit_point == expected
        assert made.incomplete_count == len(incomplete)
        assert list(made.incomplete) == incomplete
        assert made.oldest_age(clock) == (clock - polled[incomplete[0]] if incomplete else 0.0)
