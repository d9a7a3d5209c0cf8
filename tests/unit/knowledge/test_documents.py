"""Records of `documents` become changes of an index."""

from dataclasses import dataclass

import pytest

from agents.knowledge.version import Mark
from schemas.codec import encode
from schemas.document import Document, document_key
from streams.knowledge.changes import aread_changes
from streams.knowledge.holders import Holders

GOOD = Document(id="a/b", tenant="Ω", text="Text.")
KEY = document_key("Ω", "a/b")


@dataclass
class Record:
    offset: int
    key: bytes | None
    value: bytes | None
    partition: int = 0

    @property
    def timestamp(self) -> int:
        return 1000 + self.offset


@pytest.mark.parametrize(
    ("key", "value", "problem", "named"),
    [
        (None, None, "neither a key nor a value", ("", "")),
        (None, b"{", "not JSON", ("", "")),
        (b"", None, "not a document key", ("", "")),
        (b"no-slash", None, "not a document key", ("", "no-slash")),
        (b"\xff/x", None, "not a document key", ("", "\\xff/x")),
        (b'"acme/a"', None, "not a document key", ("", '"acme/a"')),
        (KEY, b"{", "not JSON", ("Ω", "a/b")),
        (KEY, b'{"id": "a/b"}', "text", ("Ω", "a/b")),
        (KEY, b'{"id": "", "text": "x"}', "id", ("Ω", "a/b")),
        (KEY, b'{"before": null, "after": {"id": "a", "text": "x"}, "op": "c"}', "id", ("Ω", "a/b")),
    ],
)
async def test_a_record_that_is_not_a_document_has_a_problem(
    key: bytes | None, value: bytes | None, problem: str, named: tuple[str, str]
) -> None:
    changes = await aread_changes([Record(3, key, value)], Holders())  # type: ignore[arg-type]
    [(name, place, told)] = changes.problems
    assert problem in told
    assert (name, place) == (named, (0, 3))
    assert not changes.latest


@pytest.mark.parametrize("key", [None, KEY, b"7", b'"acme/a"', document_key("other", "a/b")])
async def test_a_document_is_taken_by_what_its_record_says(key: bytes | None) -> None:
    changes = await aread_changes([Record(3, key, encode(GOOD))], Holders())  # type: ignore[arg-type]
    assert changes.documents == [GOOD]
    own = key in {None, KEY}
    assert changes.keys == ({} if own else {("Ω", "a/b"): key.decode("latin-1")})  # type: ignore[union-attr]


async def test_the_last_change_of_a_document_wins_and_problems_keep_their_offsets() -> None:
    other = Document(id="other", text="Other.")
    records = [
        Record(1, KEY, encode(GOOD)),
        Record(2, KEY, b"["),
        Record(3, document_key("default", "other"), None),
        Record(5, document_key("default", "other"), encode(other)),
        Record(8, KEY, None),
    ]
    changes = await aread_changes(records, Holders())  # type: ignore[arg-type]
    assert changes.documents == [other]
    assert changes.deleted == [("Ω", "a/b")]
    assert [place for _, place, _ in changes.problems] == [(0, 2)]
    assert changes.marks == {"Ω": Mark(8, 1008), "default": Mark(5, 1005)}
    assert changes.places == {("Ω", "a/b"): (0, 8), ("default", "other"): (0, 5)}


async def test_changes_that_were_not_written_leave_the_holders_as_they_were() -> None:
    holders = Holders()
    first = await aread_changes([Record(1, b"7", encode(GOOD))], holders)  # type: ignore[arg-type]
    holders.settle(first.holders)
    moved = Record(2, b"7", encode(Document(id="other", text="Other.")))
    for _ in range(2):  # the second time, as after a failure
        changes = await aread_changes([moved], holders)  # type: ignore[arg-type]
        assert changes.deleted == [("Ω", "a/b")]
    holders.settle(changes.holders)
    assert dict(holders.held()) == {("default", "other"): "7"}
