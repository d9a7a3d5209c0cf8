"""Record keys that hold documents: any key, by what its record says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.document import document_key, parse_document_key
from streams.knowledge.holders import Holders

A, B = ("default", "a"), ("acme", "b")
OWN = document_key(*A)
QUOTED = b'"default/a"'


def test_a_record_under_a_key_replaces_what_the_key_held() -> None:
    holders = Holders()
    assert holders.put(b"7", A) is None
    assert holders.put(b"7", A) is None
    assert holders.put(b"7", B) == A
    assert holders.put(OWN, B) == A, "its own key names the document that it held"
    assert holders.key_of(B) == OWN


@pytest.mark.parametrize("key", [QUOTED, b"7", b"\x00\x00\x00\x00\x01default/a", b"\xff", b'{"id":"a"}'])
def test_a_tombstone_deletes_what_its_key_last_held_and_nothing_else(key: bytes) -> None:
    holders = Holders()
    with pytest.raises(ValueError, match="key"):
        holders.remove(key)
    holders.put(key, A)
    with pytest.raises(ValueError, match="another key holds"):
        holders.remove(OWN)
    assert holders.remove(key) == A
    assert holders.remove(OWN) == A


def test_the_last_key_that_wrote_a_document_holds_it() -> None:
    holders = Holders()
    holders.put(b"7", A)
    holders.put(b"8", A)
    with pytest.raises(ValueError, match="key"):
        holders.remove(b"7")
    holders.put(OWN, A)
    with pytest.raises(ValueError, match="key"):
        holders.remove(b"8")
    assert holders.remove(OWN) == A


def test_a_record_without_a_key_is_taken_as_under_its_own() -> None:
    holders = Holders()
    holders.put(b"7", A)
    assert holders.put(None, A) is None
    assert holders.key_of(A) is None
    with pytest.raises(ValueError, match="neither"):
        holders.remove(None)


KEYS = st.sampled_from([OWN, document_key(*B), QUOTED, b"7", b"8", b"\xff"])
STEPS = st.lists(st.tuples(KEYS, st.sampled_from([A, B, ("acme", "c"), None])))


@given(STEPS, st.integers(0, 20))
def test_layers_and_restored_holders_decide_as_one_that_saw_everything(
    steps: list[tuple[bytes, tuple[str, str] | None]], at: int
) -> None:
    def run(holders: Holders, steps: list[tuple[bytes, tuple[str, str] | None]]) -> list[object]:
        told: list[object] = []
        for key, name in steps:
            try:
                told.append(holders.remove(key) if name is None else holders.put(key, name))
            except ValueError:
                told.append("told")
        return told

    whole = Holders()
    expected = run(whole, steps)
    layered = Holders()
    above = layered.over()
    first = run(above, steps[:at])
    layered.settle(above)
    restored = Holders()
    restored.restore(dict(layered.held()))
    assert first + run(restored, steps[at:]) == expected
    assert dict(restored.held()) == dict(whole.held())


@given(STEPS)
def test_the_index_holds_what_each_key_said_last(steps: list[tuple[bytes, tuple[str, str] | None]]) -> None:
    holders, index = Holders(), dict[tuple[str, str], bytes]()
    last: dict[bytes, tuple[str, str] | None] = {}
    writer: dict[tuple[str, str], bytes] = {}
    for key, name in steps:
        last[key] = name
        if name is None:
            try:
                index.pop(holders.remove(key), None)
            except ValueError:
                continue
        else:
            replaced = holders.put(key, name)
            if replaced is not None:
                index.pop(replaced, None)
            index[name] = writer[name] = key
    # Every document in the index is what the key that wrote it last says now; none of these is missing.
    assert index == {name: key for name, key in writer.items() if last[key] == name}


def test_json_is_no_document_key() -> None:
    for key in (QUOTED, b'{"a":1}/b', b"[1]/b"):
        with pytest.raises(ValueError, match="not a document key"):
            parse_document_key(key)
    assert parse_document_key(document_key('"x', "y")) == ('"x', "y")
