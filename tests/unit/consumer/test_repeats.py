"""The index of results, compared with a list that is searched from its end."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec import structs

from schemas.fingerprint import Fingerprint, digest_of, fingerprint
from schemas.question import Question, Turn
from streams.consumer.repeats import FAILED, Entry, Repeats, Result, share_out

WINDOW_S = 100.0
MOST = 6


def asked(identifier: str = "q", text: str = "What now?", **fields: object) -> Fingerprint:
    return fingerprint(Question(id=identifier, text=text, **fields))  # type: ignore[arg-type]


def result(source: int = 1, written_s: float = 0.0) -> Result:
    return Result(10 + source, source, written_s)


def test_a_repeat_has_tenant_conversation_id_and_all_that_it_asks_in_common() -> None:
    repeats = Repeats(window_s=WINDOW_S, most=MOST)
    first = {"conversation_id": "c", "tenant": "acme", "history": (Turn("user", "Hi"),), "tools": ("a",)}
    repeats.keep(0, asked(**first), result())
    assert repeats.find(0, asked(**first, metadata={"try": 2}, stream=True), 1.0) == result()
    for other in ({"conversation_id": "d"}, {"tenant": "default"}):
        assert repeats.find(0, asked(**first | other), 1.0) is None
    assert repeats.find(0, asked("r", **first), 1.0) is None
    assert repeats.find(1, asked(**first), 1.0) is None
    for other in ({"history": ()}, {"tools": ()}, {"tools": None}, {"text": "What then?"}):
        assert repeats.find(0, asked(**first | other), 1.0) == "id_reused"


def test_a_question_that_failed_after_tool_calls_is_run_again_and_another_one_is_told() -> None:
    repeats = Repeats(window_s=WINDOW_S, most=MOST)
    repeats.keep(0, asked(), Result(FAILED, 1, 0.0))
    assert repeats.find(0, asked(), 1.0) is None
    assert repeats.find(0, asked(text="What then?"), 1.0) == "id_reused"
    repeats.keep(0, asked(text="What then?"), result(2))
    assert repeats.find(0, asked(), 1.0) == "id_reused"
    repeats.keep(0, asked(), result(3))
    assert repeats.find(0, asked(), 1.0) == result(3)
    repeats.keep(0, asked(), Result(FAILED, 4, 0.0))
    assert repeats.find(0, asked(), 1.0) == result(3)


def test_a_result_that_is_kept_again_and_again_takes_no_more_memory() -> None:
    repeats = Repeats(window_s=WINDOW_S, most=MOST)
    repeats.keep(0, asked("other"), result(0))
    for source in range(1, 100):
        repeats.keep(0, asked(), result(source, written_s=source / 10))
    assert len(repeats._partitions[0]._order) <= 2 * len(repeats) == 4
    assert repeats.find(0, asked(), WINDOW_S + 9.8) == result(99, written_s=9.9)
    assert repeats.find(0, asked("other"), WINDOW_S + 9.8) is None


def test_no_part_of_a_question_can_pass_for_another() -> None:
    assert asked("a", conversation_id="bc") != asked("ab", conversation_id="c")
    assert asked(text="a", tools=("b",)).digest != asked(text="ab", tools=()).digest


def test_instructions_are_a_part_of_the_digest_and_their_absence_is_none() -> None:
    plain = Question(id="q", text="How?", history=(Turn("user", "hi"),), tools=("a",))
    instructed = structs.replace(plain, instructions="Be formal.")
    assert fingerprint(plain).digest == digest_of(plain)
    # As 0.1.0 wrote it: a repeat across an upgrade must match.
    assert digest_of(plain).hex() == "db2524048c246275a3c748d4b407e99c2bc37ebe43e95fa6ac73a50f26c1fe90"
    assert fingerprint(instructed).digest == digest_of(instructed) != digest_of(plain)
    assert digest_of(structs.replace(plain, instructions="be formal.")) != digest_of(instructed)


def test_nothing_is_kept_where_repeats_are_turned_off() -> None:
    repeats = Repeats(window_s=0.0, most=MOST)
    repeats.keep(0, asked(), result())
    assert repeats.find(0, asked(), 0.0) is None
    assert len(repeats) == 0


def test_time_for_which_the_partition_stood_still_does_not_count() -> None:
    repeats = Repeats(window_s=WINDOW_S, most=MOST)
    entry = Entry(asked().identity, asked().short, result(written_s=0.0))
    repeats.load(0, [entry], stood_still_s=1000.0)
    assert repeats.find(0, asked(), 1000.0 + WINDOW_S) is not None
    assert repeats.find(0, asked(), 1001.0 + WINDOW_S) is None


@given(st.dictionaries(st.integers(0, 9), st.integers(0, 50), max_size=6), st.integers(0, 200))
def test_shares_are_bounded_together_and_no_partition_starves_another(
    spans: dict[int, int], most: int
) -> None:
    shares = share_out(spans, most)
    assert shares.keys() == spans.keys()
    assert sum(shares.values()) <= most
    for number, share in shares.items():
        assert 0 <= share <= spans[number]
        # Less than it has, only where it has as much as any other but for what cannot be divided.
        assert share == spans[number] or share >= max(shares.values()) - 1


@dataclass
class _Model:
    kept: list[tuple[int, Fingerprint, Result]] = field(default_factory=list)

    def find(self, partition: int, question: Fingerprint, now: float) -> Result | str | None:
        mine = [
            (other, found)
            for number, other, found in self.kept
            if number == partition and other.identity == question.identity
        ]
        alike = [found for other, found in mine if other == question and found.written_s + WINDOW_S >= now]
        if alike and (alike[-1].position != FAILED or len(mine) == 1):
            return None if alike[-1].position == FAILED else alike[-1]
        return "id_reused" if mine else None


class Machine(RuleBasedStateMachine):
    """Results are kept, expire and are pushed out; a question finds what a list says."""

    def __init__(self) -> None:
        super().__init__()
        self.repeats = Repeats(window_s=WINDOW_S, most=MOST)
        self.model = _Model()
        self.now = 0.0
        self.count = 0

    def _trim(self, partition: int) -> None:
        self.model.kept = [
            one for one in self.model.kept if one[0] != partition or one[2].written_s + WINDOW_S >= self.now
        ]

    @rule(
        partition=st.integers(0, 2),
        name=st.sampled_from("abc"),
        text=st.sampled_from("xyz"),
        passed=st.sampled_from([0.5, 1.0, 40.0, 150.0]),
        failed=st.booleans(),
    )
    def keep(self, partition: int, name: str, text: str, passed: float, *, failed: bool) -> None:
        self.now += passed
        self.count += 1
        question = asked(name, text)
        if failed and isinstance(self.repeats.find(partition, question, self.now), Result):
            return  # it is answered, not run
        found = Result(FAILED if failed else self.count, self.count, self.now)
        self.repeats.keep(partition, question, found)
        kept = [one for one in self.model.kept if one[:2] != (partition, question)]
        kept.append((partition, question, found))
        oldest = sorted(kept, key=lambda one: one[2].written_s)
        for gone in oldest[: max(0, len(kept) - MOST)]:
            kept.remove(gone)
        self.model.kept = kept
        self._trim(partition)

    @rule(partition=st.integers(0, 2), name=st.sampled_from("abc"), text=st.sampled_from("xyz"))
    def find(self, partition: int, name: str, text: str) -> None:
        question = asked(name, text)
        self._trim(partition)
        assert self.repeats.find(partition, question, self.now) == self.model.find(
            partition, question, self.now
        )

    @rule(partition=st.integers(0, 2))
    def lose_and_recover(self, partition: int) -> None:
        self._trim(partition)
        mine = [one for one in self.model.kept if one[0] == partition]
        self.repeats.drop(partition)
        assert self.repeats.find(partition, asked("a", "x"), self.now) is None
        self.repeats.load(partition, [Entry(one.identity, one.short, found) for _, one, found in mine])

    @invariant()
    def bounded(self) -> None:
        assert len(self.repeats) <= MOST
        alive = [found for *_, found in self.model.kept if found.written_s + WINDOW_S >= self.now]
        assert len(self.repeats) >= len(alive)


TestRepeats = Machine.TestCase
