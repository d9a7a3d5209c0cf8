"""The transaction that holds a partition."""

from streams.kafka.transactions import WARN_S, OpenTransaction, Progress, progress_of


def test_an_open_transaction_holds_a_partition_that_was_read_up_to_it() -> None:
    held = OpenTransaction()
    held.look(Progress(2, 5, 9), 10.0)
    assert held.held_s(11.0) == 0
    held.look(Progress(5, 5, 9), 20.0)
    held.look(Progress(5, 5, 12), 25.0)
    assert held.held_s(30.0) == 10
    held.look(Progress(7, 7, 12), 40.0)
    assert held.held_s(45.0) == 5, "it is another transaction"
    held.look(Progress(12, 12, 12), 50.0)
    assert held.held_s(60.0) == 0


def test_it_is_reported_once() -> None:
    held = OpenTransaction()
    assert not held.due(1000.0)
    held.look(Progress(5, 5, 9), 0.0)
    assert not held.due(WARN_S)
    assert held.due(WARN_S + 1)
    assert not held.due(WARN_S + 2)
    held.look(Progress(7, 7, 9), 100.0)
    assert held.due(101.0 + WARN_S)


def test_nothing_is_known_before_the_first_fetch() -> None:
    held = OpenTransaction()
    held.look(progress_of(5, None, None), 0.0)
    held.look(progress_of(5, -1, 9), 0.0)
    assert held.held_s(10.0) == 0


def test_a_partition_that_nobody_reads_is_held_by_none() -> None:
    held = OpenTransaction()
    held.look(Progress(5, 5, 9), 0.0)
    held.forget()
    assert held.held_s(10.0) == 0
