"""Cancels of questions: which question each one ends, and how many are kept."""

from collections.abc import Iterable
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from schemas.answer import Source
from schemas.codec import decode_cancel, encode
from schemas.control import Cancel
from schemas.question import Question
from streams.consumer.cancels import Cancels
from streams.consumer.partition import Partition, Work
from streams.publishing.gate import Gate
from streams.worker.inquiries import decode_record

NOW_MS = 1_769_860_800_000
HOUR_MS = 3_600_000


def nothing_done(number: int, offset: int) -> bool:
    return False


def work(
    offset: int, *, tenant: str = "acme", conversation: str = "c", partition: int = 0, at_ms: int = NOW_MS
) -> Work:
    value = encode(Question(id="q", text="What now?", conversation_id=conversation, tenant=tenant))
    record = ConsumerRecord("questions", partition, offset, at_ms, 1, b"c", value, None, 0, 0, ())
    made = Work(record, Partition(partition, 1), 1)
    made.inquiry = decode_record(record, Gate())
    return made


def control(value: bytes | None, *, key: bytes | None = b"c", at_ms: int = NOW_MS, partition: int = 0) -> Any:
    return ConsumerRecord("questions.control", partition, 0, at_ms, 1, key, value, None, 0, 0, ())


def cancel(
    offset: int, *, tenant: str = "acme", topic: str = "questions", of: int = 0, **record: Any
) -> ConsumerRecord:
    value = encode(
        Cancel(type="cancel", source=Source(topic, of, offset), tenant=tenant, reason="disconnect")
    )
    return control(value, **record)


def taken(*records: ConsumerRecord, **bounds: int) -> Cancels:
    cancels = Cancels("questions", **bounds)
    for record in records:
        cancels.take(record, nothing_done)
    return cancels


def test_a_cancel_ends_its_question_and_no_other() -> None:
    cancels = taken(cancel(7))
    assert cancels.of(work(7)) == "disconnect"
    assert cancels.of(work(8)) is None
    assert cancels.of(work(7, partition=1)) is None
    cancels.forget(work(7))
    assert (cancels.of(work(7)), cancels.count) == (None, 0)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"null",
        b"7",
        b'{"type":"forget","conversation_id":"c","tenant":"acme"}',
        b'{"source":{"topic":"questions","partition":0,"offset":7}}',
        b'{"type":"cancel"}',
        b'{"type":"cancel","source":7}',
        b'{"type":"cancel","source":{"topic":"questions","partition":0,"offset":"7"}}',
        b'{"type":"cancel","source":{"topic":"questions","partition":0,"offset":7},"tenant":"'
        + b"a" * 129
        + b'"}',
        b'{"type":"cancel","source":{"topic":"questions","partition":0,"offset":7},"reason":"boredom"}',
        b'{"type":"cancel","source":{"topic":"questions","partition":0,"offset":1e400}}',
        b'{"type":"cancel","x":' + b"[" * 100_000,
    ],
)
def test_a_strangers_record_is_passed_over(value: bytes | None) -> None:
    cancels = Cancels("questions")
    assert not cancels.take(control(value), nothing_done)
    assert (cancels.count, cancels.ignored["unreadable"]) == (0, 1)


def test_a_record_with_a_key_as_long_as_no_conversations_is_passed_over() -> None:
    cancels = taken(cancel(7, key=b"k" * 513))
    assert (cancels.count, cancels.ignored["unreadable"]) == (0, 1)


def test_a_cancel_that_is_not_on_its_questions_partition_is_passed_over() -> None:
    cancels = taken(cancel(7, of=1), cancel(7, topic="answers"), cancel(7, of=1, partition=0))
    assert (cancels.count, cancels.ignored["misplaced"]) == (0, 3)


def test_a_cancel_after_the_outcome_is_passed_over() -> None:
    cancels = Cancels("questions")
    assert not cancels.take(cancel(7), lambda number, offset: (number, offset) == (0, 7))
    assert not cancels.take(cancel(-1), nothing_done)
    assert cancels.ignored["late"] == 2
    assert cancels.take(cancel(8), lambda number, offset: (number, offset) == (0, 7))


def test_no_tenant_cancels_the_questions_of_another() -> None:
    cancels = taken(*(cancel(offset, tenant=f"tenant-{offset % 10}") for offset in range(1000)))
    assert [offset for offset in range(1000) if cancels.of(work(offset))] == []
    # And a guess drives out no cancel of the owner.
    cancels.take(cancel(7), nothing_done)
    cancels.take(cancel(7, tenant="other"), nothing_done)
    assert cancels.of(work(7)) == "disconnect"


def test_a_cancel_of_an_earlier_topic_ends_no_question_of_the_new_one() -> None:
    """The offsets of a topic that is made anew begin again."""
    assert taken(cancel(7, at_ms=NOW_MS - HOUR_MS)).of(work(7)) is None
    assert taken(cancel(7)).of(work(7, conversation="another")) is None
    # The clocks of two brokers differ a little, and a key may be left out.
    assert taken(cancel(7, at_ms=NOW_MS - 2_000)).of(work(7)) == "disconnect"
    assert taken(cancel(7, key=None)).of(work(7, conversation="another")) == "disconnect"


def test_a_flood_drives_out_the_cancels_of_its_own_tenant() -> None:
    cancels = taken(cancel(1), *(cancel(n, tenant="loud") for n in range(500)), most=100, most_of_tenant=40)
    assert cancels.count == 41
    assert cancels.of(work(1)) == "disconnect"
    assert cancels.of(work(499, tenant="loud")) == "disconnect", "the newest are kept"
    assert cancels.of(work(0, tenant="loud")) is None
    assert cancels.ignored["dropped"] == 460


def test_the_cancels_of_another_tenants_guesses_go_with_the_questions() -> None:
    done: set[int] = set()
    cancels = Cancels("questions", most=100, most_of_tenant=100)
    for offset in range(1000):
        cancels.take(cancel(offset, tenant="other"), lambda _, place: place in done)
        done.add(offset)
        assert cancels.count <= 12
    assert cancels.ignored["dropped"] == 0


def test_a_partition_that_is_lost_takes_its_cancels_along() -> None:
    cancels = taken(cancel(7), cancel(7, of=1, partition=1))
    cancels.drop(0)
    assert cancels.of(work(7)) is None
    assert (cancels.of(work(7, partition=1)), cancels.count) == ("disconnect", 1)


records = st.builds(
    lambda offset, tenant, partition, of: cancel(offset, tenant=tenant, partition=partition, of=of),
    st.integers(0, 30),
    st.sampled_from(["a", "b", "c", "d", "e"]),
    st.integers(0, 1),
    st.integers(0, 1),
)
ends = st.builds(
    lambda offset, tenant, partition: work(offset, tenant=tenant, partition=partition),
    st.integers(0, 30),
    st.sampled_from(["a", "b", "c", "d", "e"]),
    st.integers(0, 1),
)


@given(st.lists(st.one_of(records, ends, st.integers(0, 1)), max_size=120))
def test_it_keeps_the_newest_within_its_bounds(steps: Iterable[Any]) -> None:
    cancels = Cancels("questions", most=20, most_of_tenant=8)
    wanted: dict[tuple[str, int, int], None] = {}
    done: set[tuple[int, int]] = set()
    for step in steps:
        if isinstance(step, int):
            cancels.drop(step)
            wanted = {place: None for place in wanted if place[1] != step}
        elif isinstance(step, Work):
            assert step.inquiry.question is not None
            cancels.forget(step)
            tenant = step.inquiry.question.tenant
            wanted.pop((tenant, step.record.partition, step.record.offset), None)
            done.add((step.record.partition, step.record.offset))
        elif cancels.take(step, lambda number, offset: (number, offset) in done):
            read = decode_cancel(step.value)
            wanted[read.tenant, read.source.partition, read.source.offset] = None
        assert cancels.count <= 20
        found = {
            place
            for place in wanted
            if cancels.of(work(place[2], tenant=place[0], partition=place[1])) is not None
        }
        gone = set(wanted) - found
        assert len(gone) <= cancels.ignored["dropped"] + len({place for place in gone if place[1:] in done})
        assert sum(len(kept) for kept in cancels._tenants.values()) == cancels.count
