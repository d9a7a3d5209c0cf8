"""Records of `documents` become changes of an index."""

from dataclasses import dataclass

import pytest

from agents.knowledge.version import Mark
from schemas.codec import encode
from schemas.document import Document, document_key
from streams.knowledge.changes import aread_changes, read_record

GOOD = Document(id="a/b", tenant="Ω", text="Text.")
KEY = document_key("Ω", "a/b")


@dataclass
class Record:
    offset: int
    key: bytes | None
    value: bytes | None

    @property
    def timestamp(self) -> int:
        return 1000 + self.offset


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        (None, encode(GOOD), "no key"),
        (None, None, "no key"),
        (b"", None, "not a document key"),
        (b"no-slash", None, "not a document key"),
        (b"\xff/x", None, "utf-8"),
        (KEY, b"{", "not JSON"),
        (KEY, b'{"id": "a/b"}', "text"),
        (KEY, b'{"id": "", "text": "x"}', "id"),
        (document_key("other", "a/b"), encode(GOOD), "does not name document 'a/b' of 'Ω'"),
        (document_key("Ω", "a"), encode(GOOD), "does not name document"),
    ],
)
def test_a_record_that_is_not_a_document_has_a_problem(
    key: bytes | None, value: bytes | None, problem: str
) -> None:
    with pytest.raises(ValueError, match=".*" + problem):
        read_record(key, value)


def test_documents_and_tombstones_are_read() -> None:
    assert read_record(KEY, encode(GOOD)) == (("Ω", "a/b"), GOOD)
    assert read_record(KEY, None) == (("Ω", "a/b"), None)


async def test_the_last_change_of_a_key_wins_and_problems_keep_their_offsets() -> None:
    other = Document(id="other", text="Other.")
    records = [
        Record(1, KEY, encode(GOOD)),
        Record(2, KEY, b"["),
        Record(3, document_key("default", "other"), None),
        Record(5, document_key("default", "other"), encode(other)),
        Record(8, KEY, None),
    ]
    changes = await aread_changes(records)  # type: ignore[arg-type]
    assert changes.documents == [other]
    assert changes.deleted == [("Ω", "a/b")]
    assert [offset for offset, _ in changes.problems] == [2]
    assert changes.marks == {"Ω": Mark(8, 1008), "default": Mark(5, 1005)}
