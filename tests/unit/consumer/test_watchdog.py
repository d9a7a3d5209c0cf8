"""A stuck consumer is noticed in time, and a slow one never: both in virtual time."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.consumer.watchdog import Diagnosis, Observation, Patience, Watchdog

EVERY_S = 5.0
LIMITS = Patience(polls_s=150, rejoin_s=150, stall_s=60, gap_s=20, rebuilds=2)
PARTITIONS = 3


@dataclass
class Consumer:
    """A model of a consumer: reads each partition as it has room, and finishes records that ran long enough.

    Attributes:
        produced_s: records that come each second, all partitions together.
        room: questions of one partition that may run at once.
        takes_s: how long each of them runs.
        stuck: partitions from which nothing comes. joined, polls, reachable, ended: likewise.
    """

    produced_s: float = 30
    room: int = 1000
    takes_s: float = 1.0
    stuck: frozenset[int] = frozenset()
    joined: bool = True
    polls: bool = True
    reachable: bool = True
    ended: str = ""
    epoch: int = 1
    now: float = 1000.0
    polled_at: float = 1000.0

    def __post_init__(self) -> None:
        self.ends = dict.fromkeys(range(PARTITIONS), 0.0)
        self.positions = dict.fromkeys(range(PARTITIONS), 0)
        self.running: dict[int, list[float]] = {number: [] for number in range(PARTITIONS)}

    def step(self, seconds: float = EVERY_S) -> Observation:
        self.now += seconds
        works = self.polls and self.joined and self.reachable and not self.ended
        if self.polls and not self.ended:
            self.polled_at = self.now
        for number in range(PARTITIONS):
            self.ends[number] += self.produced_s * seconds / PARTITIONS
            running = [at for at in self.running[number] if at + self.takes_s > self.now]
            if works and number not in self.stuck:
                count = min(int(self.ends[number]) - self.positions[number], self.room - len(running))
                self.positions[number] += count
                running += [self.now] * count
            self.running[number] = running
        return self.seen()

    def seen(self) -> Observation:
        wanted = [n for n in range(PARTITIONS) if len(self.running[n]) < self.room] if self.joined else []
        return Observation(
            now=self.now,
            polled_at=self.polled_at,
            ended=self.ended,
            joined=self.joined,
            epoch=self.epoch,
            positions={number: self.positions[number] for number in wanted},
            ends={number: int(end) for number, end in self.ends.items()} if self.reachable else None,
        )

    def mend(self) -> None:
        self.joined = self.polls = True
        self.stuck = frozenset()
        self.ended = ""
        self.epoch += 1


def verdicts(dog: Watchdog, consumer: Consumer, seconds: float) -> Iterator[Diagnosis]:
    for _ in range(int(seconds / EVERY_S)):
        yield dog.observe(consumer.step())


def actions(dog: Watchdog, consumer: Consumer, seconds: float) -> list[str]:
    return [verdict.action for verdict in verdicts(dog, consumer, seconds)]


def well() -> tuple[Watchdog, Consumer]:
    dog, consumer = Watchdog(LIMITS), Consumer()
    assert set(actions(dog, consumer, 300)) == {"ok"}
    return dog, consumer


Break = Callable[[Consumer], None]


def stop_polls(consumer: Consumer) -> None:
    consumer.polls = False


def lose_the_group(consumer: Consumer) -> None:
    consumer.joined = False


def lose_a_fetch(consumer: Consumer) -> None:
    consumer.stuck = frozenset({1})


def end(consumer: Consumer) -> None:
    consumer.ended = "its poll has ended"


ALL = [
    (stop_polls, 150, "polls"),
    (lose_the_group, 150, "group"),
    (lose_a_fetch, 60, "records"),
    (end, 0, "ended"),
]
BREAKS = pytest.mark.parametrize(("broken", "limit_s", "symptom"), ALL)


@BREAKS
def test_a_stuck_consumer_is_noticed_in_time_and_not_before(
    broken: Break, limit_s: float, symptom: str
) -> None:
    # Where no poll returns and records wait, these would be the first symptom.
    dog, consumer = well()
    if broken is stop_polls:
        consumer.produced_s = 0
    actions(dog, consumer, 30)
    begun = consumer.now
    broken(consumer)
    found = next(verdict for verdict in verdicts(dog, consumer, 600) if verdict.action != "ok")
    assert (found.action, found.symptom) == ("rebuild", symptom)
    assert found.detail
    assert limit_s < consumer.now - begun <= limit_s + 2 * EVERY_S


@BREAKS
def test_a_consumer_that_no_rebuild_mends_is_given_up(broken: Break, limit_s: float, symptom: str) -> None:
    dog, consumer = well()
    broken(consumer)
    told = [verdict for verdict in verdicts(dog, consumer, 5 * 150) if verdict.action != "ok"]
    assert [verdict.action for verdict in told[:3]] == ["rebuild", "rebuild", "dead"]
    assert "2 new consumers" in told[2].detail
    assert told[2].symptom is not None
    assert told[2].symptom == told[0].symptom


@BREAKS
def test_a_consumer_that_a_rebuild_mends_is_forgiven(broken: Break, limit_s: float, symptom: str) -> None:
    dog, consumer = well()
    for _ in range(5):
        broken(consumer)
        assert next(verdict for verdict in verdicts(dog, consumer, 600) if verdict.action == "rebuild")
        consumer.mend()
        assert set(actions(dog, consumer, 300)) == {"ok"}


def test_one_missing_record_is_a_symptom() -> None:
    dog, consumer = well()
    consumer.produced_s = 0
    actions(dog, consumer, 300)
    lose_a_fetch(consumer)
    consumer.ends[1] += 1
    assert "rebuild" in actions(dog, consumer, 120)


def test_a_full_worker_is_not_stuck() -> None:
    dog, consumer = Watchdog(LIMITS), Consumer(room=10, takes_s=3600)
    assert set(actions(dog, consumer, 3500)) == {"ok"}


def test_a_consumer_without_partitions_is_not_stuck() -> None:
    dog, consumer = well()
    for _ in range(500):
        assert dog.observe(replace(consumer.step(), positions={})).action == "ok"


def test_a_group_that_rebalances_all_the_time_is_not_stuck() -> None:
    """However seldom it is seen between two rebalances: that there was one shows."""
    dog, consumer = well()
    consumer.produced_s = 0
    actions(dog, consumer, 30)
    for _ in range(200):
        consumer.epoch += 1
        assert dog.observe(replace(consumer.step(), joined=False, positions={})).action == "ok"


def test_a_position_that_is_never_known_is_a_symptom() -> None:
    dog, consumer = well()
    seen = (replace(consumer.step(), positions={0: -1}) for _ in range(20))
    assert "rebuild" in [dog.observe(each).action for each in seen]


def test_a_process_that_stood_still_is_given_time() -> None:
    dog, consumer = well()
    for _ in range(20):
        consumer.now += 3600
        assert dog.observe(consumer.seen()).action == "ok"
        consumer.polled_at = consumer.now
        assert set(actions(dog, consumer, 60)) == {"ok"}


def test_a_broker_that_was_away_leaves_no_symptom_behind() -> None:
    dog, consumer = well()
    consumer.reachable = consumer.polls = consumer.joined = False
    assert set(actions(dog, consumer, 600)) == {"ok"}
    consumer.reachable = True
    assert set(actions(dog, consumer, 50)) == {"ok"}, "it has its time to join again"
    consumer.mend()
    assert set(actions(dog, consumer, 600)) == {"ok"}


def seen_at(now: float, **fields: Any) -> Observation:
    """An observation of a consumer that has just polled, joined and has nothing to read."""
    whole: dict[str, Any] = {
        "polled_at": now,
        "ended": "",
        "joined": True,
        "epoch": 1,
        "positions": {},
        "ends": {0: 1000},
    }
    return Observation(now, **(whole | fields))


def test_an_observation_counts_up_to_the_longest_gap() -> None:
    dog = Watchdog(LIMITS)
    dog.observe(seen_at(0.0))
    assert dog.observe(seen_at(20.0, ended="its poll has ended")).action == "rebuild"
    assert dog.observe(seen_at(40.1, ended="its poll has ended")).action == "ok"


def test_a_new_consumer_that_has_not_polled_is_not_forgiven() -> None:
    dog = Watchdog(LIMITS)
    dog.observe(seen_at(0.0))
    actions = []
    for at in range(10, 60, 20):
        actions.append(dog.observe(seen_at(at, polled_at=0.0, ended="its poll has ended")).action)
        dog.observe(seen_at(at + 10.0, polled_at=0.0))
    assert actions == ["rebuild", "rebuild", "dead"]


def test_a_consumer_out_of_its_group_is_not_expected_to_poll() -> None:
    dog = Watchdog(replace(LIMITS, polls_s=30, rejoin_s=100))
    for at in range(0, 100, 10):
        assert dog.observe(seen_at(at, polled_at=0.0, joined=False)).action == "ok"
    assert dog.observe(seen_at(100.0, polled_at=0.0)).action == "ok", "the time to poll begins when it joins"


@pytest.mark.parametrize("gained", [0, 1])
def test_a_partition_is_stuck_after_the_limit_unless_its_position_moves(gained: int) -> None:
    dog = Watchdog(LIMITS)
    dog.observe(seen_at(0.0))
    told = [dog.observe(seen_at(10.0 * n, positions={0: gained * n})).action for n in range(1, 30)]
    # First seen at 10 s: 60 s later is the limit itself.
    assert told.index("rebuild") == 7 if not gained else set(told) == {"ok"}


def test_a_consumer_that_moves_forward_is_forgiven_though_it_lags() -> None:
    dog = Watchdog(LIMITS)
    for n in range(50):
        seen = seen_at(10.0 * n, positions={0: n}, ended="its poll has ended" if n % 10 == 9 else "")
        assert dog.observe(seen).action == ("rebuild" if n % 10 == 9 else "ok")


def test_a_rebalance_begins_the_time_of_a_partition_anew() -> None:
    dog = Watchdog(LIMITS)
    for n in range(30):
        assert dog.observe(seen_at(10.0 * n, positions={0: 5}, epoch=n // 5)).action == "ok"


def test_a_partition_whose_end_is_not_known_is_not_stuck() -> None:
    dog = Watchdog(LIMITS)
    for n in range(30):
        assert dog.observe(seen_at(10.0 * n, positions={7: 5})).action == "ok"


histories = st.lists(
    st.tuples(st.sampled_from(["slow", "full", "away", "quiet", "busy", "rebalance"]), st.integers(1, 100)),
    min_size=1,
    max_size=12,
)


@given(history=histories, seed=st.integers(0, 2**32))
def test_a_slow_model_a_full_worker_and_an_absent_broker_are_never_called_stuck(
    history: list[tuple[str, int]], seed: int
) -> None:
    chance = random.Random(seed)
    dog, consumer = Watchdog(LIMITS), Consumer(room=100)
    for what, steps in history:
        consumer.produced_s = {"quiet": 0, "full": 1500}.get(what, 30)
        consumer.takes_s = {"slow": 3600.0, "full": 40.0}.get(what, chance.uniform(0, 10))
        consumer.reachable = what != "away"
        # While a broker is away, polls may hang and the group may be lost: neither is our fault.
        consumer.polls = what != "away" or chance.random() < 0.5
        consumer.joined = what not in {"away", "rebalance"} or (what == "away" and chance.random() < 0.5)
        for _ in range(min(steps, 25) if what == "rebalance" else steps):
            assert dog.observe(consumer.step(chance.uniform(1, EVERY_S))).action == "ok"
        consumer.mend()


@given(
    before=histories,
    broken=st.sampled_from([stop_polls, lose_the_group, lose_a_fetch, end]),
    produced_s=st.floats(0.1, 1000),
)
def test_a_stuck_consumer_is_found_after_any_history(
    before: list[tuple[str, int]], broken: Break, produced_s: float
) -> None:
    dog, consumer = Watchdog(LIMITS), Consumer(room=100_000)
    for what, steps in before:
        consumer.reachable = what != "away"
        for _ in range(steps):
            dog.observe(consumer.step())
    consumer.reachable = True
    consumer.produced_s = produced_s
    broken(consumer)
    told = [action for action in actions(dog, consumer, 1000) if action != "ok"]
    assert told[:3] == ["rebuild", "rebuild", "dead"]
