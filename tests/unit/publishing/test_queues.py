"""Which records leave next, by place: one batch on its way, gates asked last, order kept."""

from collections.abc import Sequence

import pytest

from schemas.headers import Header
from streams.publishing.gate import Gate
from streams.publishing.queues import Destination, Queues
from streams.publishing.records import Record

HERE: Destination = ("answers", 0)
THERE: Destination = ("answers", 1)


class Room:
    """A batch with room for so many records."""

    def __init__(self, room: int = 1000) -> None:
        self.room = room
        self.appended: list[tuple[bytes | None, bytes | None, Sequence[Header], int | None]] = []

    def append(
        self, *, timestamp: int | None, key: bytes | None, value: bytes | None, headers: Sequence[Header]
    ) -> object | None:
        if len(self.appended) == self.room:
            return None
        self.appended.append((key, value, headers, timestamp))
        return self


def record(value: str, gate: Gate | None = None) -> Record:
    made = Record("answers", b"k", value.encode(), [("h", b"1")], 0)
    made.gate, made.alone = gate, False
    return made


def names(records: list[Record]) -> str:
    return "".join((one.value or b"").decode() for one in records)


def filled(values: str, place: Destination = HERE) -> Queues:
    queues = Queues()
    for value in values:
        queues.add(place, record(value))
    return queues


def test_each_place_that_can_send_is_ready_once() -> None:
    queues = filled("ab")
    assert queues.add(THERE, record("c"))
    assert queues.ready() == {HERE, THERE}
    assert queues.ready() == set()


def test_a_batch_holds_the_records_in_their_order_as_far_as_there_is_room() -> None:
    queues, batch = filled("abc"), Room(2)
    sent, fenced = queues.depart(HERE, batch)
    assert (names(sent), fenced) == ("ab", [])
    assert batch.appended == [(b"k", value, [("h", b"1")], None) for value in (b"a", b"b")]
    assert queues.queued == 1
    assert queues.waits(HERE)
    assert queues.flying == [(HERE, sent)]


def test_a_place_sends_one_batch_at_a_time() -> None:
    queues = filled("a")
    queues.ready()
    sent, _ = queues.depart(HERE, Room())
    assert not queues.add(HERE, record("b"))
    assert queues.ready() == set()
    assert not queues.more(HERE)
    assert queues.depart(HERE, Room()) == ([], [])
    assert queues.arrive(HERE, sent)
    assert queues.more(HERE)
    assert queues.ready() == {HERE}
    assert names(queues.depart(HERE, Room())[0]) == "b"


def test_a_batch_arrives_once_and_only_as_itself() -> None:
    queues = filled("a")
    sent, _ = queues.depart(HERE, Room())
    assert not queues.arrive(HERE, list(sent))
    assert not queues.arrive(THERE, sent)
    assert queues.arrive(HERE, sent)
    assert not queues.arrive(HERE, sent)


def test_nothing_is_more_where_nothing_waits() -> None:
    queues = filled("a")
    queues.ready()
    sent, _ = queues.depart(HERE, Room())
    queues.arrive(HERE, sent)
    assert not queues.more(HERE)
    assert not queues.waits(HERE)
    assert queues.ready() == set()


def test_queues_are_idle_when_nothing_waits_and_nothing_is_on_its_way() -> None:
    queues = Queues()
    assert queues.idle
    queues.add(HERE, record("a"))
    assert not queues.idle
    sent, _ = queues.depart(HERE, Room())
    assert queues.queued == 0
    assert not queues.idle
    queues.arrive(HERE, sent)
    assert queues.idle


def test_a_record_whose_gate_is_shut_is_taken_out_and_the_others_leave() -> None:
    queues, shut, opened = Queues(), Gate(), Gate()
    shut.hold()
    for value, gate in (("a", opened), ("b", shut), ("c", shut), ("d", opened), ("e", None), ("f", shut)):
        queues.add(HERE, record(value, gate))
    sent, fenced = queues.depart(HERE, Room())
    assert (names(sent), names(fenced)) == ("ade", "bcf")
    assert queues.queued == 0
    assert (opened.flying, shut.flying) == (2, 0)
    queues.arrive(HERE, sent)
    assert opened.flying == 0


def test_a_batch_of_fenced_records_is_none() -> None:
    queues, shut = Queues(), Gate()
    shut.hold()
    queues.add(HERE, record("a", shut))
    assert names(queues.depart(HERE, Room())[1]) == "a"
    assert queues.idle
    assert queues.flying == []


def test_a_gate_is_asked_once_for_the_records_that_follow_each_other() -> None:
    asked: list[int] = []

    def member() -> bool:
        asked.append(1)
        return True

    gate, queues = Gate(member), Queues()
    for value in "abc":
        queues.add(HERE, record(value, gate))
    queues.depart(HERE, Room())
    assert asked == [1]


def test_a_batch_that_is_separated_leaves_one_record_at_a_time_before_all_others() -> None:
    queues = filled("abc")
    sent, _ = queues.depart(HERE, Room())
    queues.add(HERE, record("d"))
    queues.add(HERE, record("e"))
    queues.arrive(HERE, sent)
    queues.separate(HERE, sent)
    assert queues.queued == 5
    left = []
    while queues.queued:
        sent, _ = queues.depart(HERE, Room())
        left.append(names(sent))
        queues.arrive(HERE, sent)
    assert left == ["a", "b", "c", "de"]


def test_a_record_that_leaves_alone_is_not_added_to_others() -> None:
    queues = filled("a")
    lonely = record("b")
    lonely.alone = True
    queues.add(HERE, lonely)
    assert names(queues.depart(HERE, Room())[0]) == "a"


@pytest.mark.parametrize("held", [True, False])
def test_shutting_takes_out_the_records_behind_a_gate_that_is_not_open(held: bool) -> None:
    queues, gate = Queues(), Gate()
    if held:
        gate.hold()
    for value, one in (("a", None), ("b", gate), ("c", Gate()), ("d", gate)):
        queues.add(HERE, record(value, one))
    assert names(queues.shut(HERE)) == ("bd" if held else "")
    assert queues.queued == (2 if held else 4)
    assert names(queues.give_up(HERE)) == ("ac" if held else "abcd")


def test_giving_up_takes_out_all_that_waits_there() -> None:
    queues = filled("ab")
    queues.add(THERE, record("c"))
    assert names(queues.give_up(HERE)) == "ab"
    assert queues.queued == 1
    assert not queues.waits(HERE)
    assert queues.waits(THERE)
    queues.add(HERE, record("d"))
    assert names(queues.depart(HERE, Room())[0]) == "d"
