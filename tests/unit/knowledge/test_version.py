"""Processes agree on a tenant's version exactly if they have read the same records."""

from hypothesis import given
from hypothesis import strategies as st

from agents.knowledge.version import KnowledgeVersions, Mark

TENANTS = ("a", "b", "c")
LOG = st.lists(st.sampled_from(TENANTS), max_size=30)


def reader(log: list[str], upto: int, *, start: int = 0, batch: int = 1) -> KnowledgeVersions:
    """Read the log, whose offset n has the timestamp 100 + n, from `start` up to `upto`."""
    versions = KnowledgeVersions()
    versions.begin({0: start} if start else None)
    for at in range(start, upto, batch):
        marks = {log[n]: Mark(n, 100 + n) for n in range(at, min(at + batch, upto))}
        versions.changing(marks)
        versions.changed(0, marks)
    return versions


@given(LOG, st.integers(0, 30), st.integers(0, 30), st.integers(1, 5))
def test_versions_agree_exactly_where_the_tenants_own_records_do(
    log: list[str], one: int, other: int, batch: int
) -> None:
    one, other = min(one, len(log)), min(other, len(log))
    left, right = reader(log, one), reader(log, other, batch=batch)
    for tenant in TENANTS:
        read = [[n for n, owner in enumerate(log[:upto]) if owner == tenant] for upto in (one, other)]
        assert (left.of(tenant) == right.of(tenant)) == (read[0] == read[1])


@given(LOG, st.integers(1, 30))
def test_a_later_reader_agrees_exactly_on_the_records_it_has_seen(log: list[str], start: int) -> None:
    start = min(start, len(log))
    whole, late = reader(log, len(log)), reader(log, len(log), start=start)
    for tenant in TENANTS:
        seen = tenant in log[start:]
        # A reader from the very beginning has missed nothing.
        assert (whole.of(tenant) == late.of(tenant)) == (seen or start == 0)


def test_there_is_no_version_before_all_is_read_nor_during_a_change() -> None:
    versions = KnowledgeVersions()
    versions.changed(0, {"a": Mark(3, 5)})
    assert versions.of("a") is None
    versions.begin()
    before = versions.of("a")
    assert before == ((0, 3, 5),)
    versions.changing(["a"])
    assert versions.of("a") is None
    assert versions.of("b") == ()
    versions.changed(0, {"a": Mark(4, 6)})
    assert versions.of("a") not in {None, before}
    versions.forget()
    assert versions.of("a") is None
    assert not versions.known


def test_during_a_change_other_changes_give_no_version() -> None:
    versions = reader([], 0)
    versions.changing(["a"])
    versions.changing(["b"])
    versions.changed(0, {"b": Mark(1, 1)})
    assert versions.of("a") is None
    assert versions.of("b") == ((0, 1, 1),)


def test_the_same_offset_of_a_recreated_topic_is_another_version() -> None:
    versions = [KnowledgeVersions(), KnowledgeVersions()]
    for timestamp, each in enumerate(versions):
        each.begin()
        each.changed(0, {"a": Mark(0, timestamp)})
    assert versions[0].of("a") != versions[1].of("a")


def test_after_a_refused_record_a_version_is_shared_with_no_process() -> None:
    flawed, well = reader(["a"], 1), reader(["a"], 1)
    for each, refused in ((flawed, {"a"}), (well, set())):
        each.changed(0, {"a": Mark(1, 1)}, refused)
        each.changed(0, {"a": Mark(2, 2)})
    assert flawed.of("a") != well.of("a")
    restored = KnowledgeVersions()
    restored.restore(flawed.marks)
    restored.begin()
    assert restored.of("a") == flawed.of("a")
