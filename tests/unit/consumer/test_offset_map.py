"""The offset map: any set comes back, it fits or is left out, and a damaged map is never believed."""

import base64
import json
import random
import zlib
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from streams.consumer.offset_map import (
    COMPLETED_MAX,
    METADATA_MAX,
    OffsetMap,
    decode,
    encode,
    may_start_beyond,
)

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "commit_metadata.json").read_text("utf-8"))

POINTS = st.integers(0, 2**62)
POSITIONS = st.none() | st.integers(0, 2**63 - 1)
LIMITS = st.integers(0, 200) | st.just(METADATA_MAX)
NEAR = st.sets(st.integers(1, 2_000), max_size=400)
FAR = st.sets(st.integers(1, 2**60), max_size=40)
RUNS = st.lists(st.tuples(st.integers(1, 500), st.integers(1, 500)), max_size=20).map(
    lambda runs: set(
        chain.from_iterable(
            range(at, at + done)
            for at, done in ((sum(map(sum, runs[:i])) + gap, done) for i, (gap, done) in enumerate(runs))
        )
    )
)
SETS = NEAR | FAR | RUNS


def above(commit_point: int, distances: set[int]) -> list[int]:
    return sorted(commit_point + distance for distance in distances)


def spread(incomplete: int, span: int, *, commit_point: int = 1_000) -> list[int]:
    """The completed offsets of a span where so many, chosen at random, are incomplete."""
    still = set(random.Random(7).sample(range(1, span), incomplete))
    return [commit_point + i for i in range(1, span) if i not in still]


@given(POINTS, SETS, POSITIONS)
@example(0, set(), None)
@example(0, {1}, 0)
@example(0, {8}, 0)
@example(0, {129}, 127)
@example(2**63 - 2, {1}, None)
@example(0, {2**62}, 2**63 - 1)
def test_any_map_comes_back(commit_point: int, distances: set[int], scan_from: int | None) -> None:
    completed = above(commit_point, distances)
    encoded = encode(commit_point, completed, scan_from)
    assert not encoded.stripped
    assert decode(encoded.metadata, commit_point) == OffsetMap(frozenset(completed), scan_from)


@given(POINTS, SETS, POSITIONS, LIMITS)
def test_a_map_never_exceeds_the_limit(
    commit_point: int, distances: set[int], scan_from: int | None, limit: int
) -> None:
    assume(limit > 0)
    completed = above(commit_point, distances)
    encoded = encode(commit_point, completed, scan_from, limit)
    assert len(encoded.metadata) <= limit
    assert encoded.stripped == (encoded.ratio > 1)
    read = decode(encoded.metadata, commit_point)
    if not encoded.stripped:
        assert len(encoded.metadata) == pytest.approx(encoded.ratio * limit)
        assert read == OffsetMap(frozenset(completed), scan_from)
    else:
        assert read == (OffsetMap(frozenset(), None, stripped=True) if encoded.metadata else None)


@given(st.text(max_size=200) | st.text(max_size=200).map("kt1:".__add__), POINTS)
@example("kt1:", 0)
@example("kt1:AA==", 0)
@example("kt2:AAAAAAA=", 0)
@example("\ud800", 0)
@example("kt1:é", 0)
def test_metadata_of_other_writers_is_no_map(metadata: str, commit_point: int) -> None:
    assert decode(metadata, commit_point) is None


@given(st.binary(max_size=300), POINTS)
def test_metadata_that_only_looks_like_ours_is_no_map(packed: bytes, commit_point: int) -> None:
    assert decode(f"kt1:{base64.b64encode(packed).decode()}", commit_point) is None


@pytest.mark.parametrize("metadata", [None, "", "{}", "sticky-v2", "AAAA", "kt1", "KT1:AAAA"])
def test_no_metadata_is_no_map(metadata: str | None) -> None:
    assert decode(metadata, 0) is None


@settings(max_examples=300)
@given(st.integers(0, 2**40), SETS, POSITIONS, st.data())
def test_a_damaged_map_is_not_believed(
    commit_point: int, distances: set[int], scan_from: int | None, data: st.DataObject
) -> None:
    completed = above(commit_point, distances)
    metadata = encode(commit_point, completed, scan_from).metadata
    raw = bytearray(metadata.encode())
    damage = data.draw(st.sampled_from(["cut", "flip", "swap", "grow"]))
    at = data.draw(st.integers(0, len(raw) - 1))
    if damage == "cut":
        raw = raw[:at]
    elif damage == "flip":
        raw[at] ^= 1 << data.draw(st.integers(0, 7))
    elif damage == "swap":
        other = data.draw(st.integers(0, len(raw) - 1))
        raw[at], raw[other] = raw[other], raw[at]
    else:
        raw[at:at] = data.draw(st.binary(min_size=1, max_size=8))
    damaged = raw.decode("latin-1")
    assume(damaged != metadata)
    # The last character of base64 has bits that say nothing: damage to them is none.
    assert decode(damaged, commit_point) in (None, OffsetMap(frozenset(completed), scan_from))


@given(SETS, st.integers(0, 2**40), st.integers(0, 2**40))
def test_a_map_beside_another_offset_is_no_map(distances: set[int], written: int, read: int) -> None:
    assume(written != read)
    assert decode(encode(written, above(written, distances), 5).metadata, read) is None


@pytest.mark.parametrize("commit_point", [-1, 2**63, 2**80])
def test_a_map_beside_an_impossible_offset_is_no_map(commit_point: int) -> None:
    assert decode(encode(0, [1], None).metadata, commit_point) is None


@pytest.mark.parametrize(
    ("incomplete", "span", "characters"), [(4_000, 20_000, 2_700), (1_000, 50_000, 1_700), (1, 700_000, 40)]
)
def test_thousands_in_flight_fit(incomplete: int, span: int, characters: int) -> None:
    completed = spread(incomplete, span)
    encoded = encode(1_000, completed, 123_456)
    assert len(encoded.metadata) <= characters
    assert may_start_beyond(encoded.ratio)
    assert decode(encoded.metadata, 1_000) == OffsetMap(frozenset(completed), 123_456)


def test_a_map_that_does_not_fit_is_left_out_with_the_position_that_counts_on_it() -> None:
    completed = spread(50_000, 100_000)
    encoded = encode(1_000, completed, 123_456)
    assert encoded.stripped
    assert 1 < encoded.ratio < 10
    assert decode(encoded.metadata, 1_000) == OffsetMap(frozenset(), None, stripped=True)


@pytest.mark.parametrize(("done", "stripped"), [(COMPLETED_MAX, False), (COMPLETED_MAX + 1, True)])
def test_a_map_names_no_more_than_a_reader_can_hold(done: int, stripped: bool) -> None:
    encoded = encode(0, range(1, done + 1), None)
    assert encoded.stripped is stripped
    found = decode(encoded.metadata, 0)
    assert found is not None
    assert len(found.completed) == (0 if stripped else done)
    assert encoded.ratio == (2.0 if stripped else 1.0)
    assert not may_start_beyond(encoded.ratio)


def test_a_map_that_is_a_character_too_long_is_left_out_and_a_left_out_one_fits_by_itself() -> None:
    length = len(encode(0, [2**40, 2**41], None).metadata)
    assert not encode(0, [2**40, 2**41], None, length).stripped
    assert encode(0, [2**40, 2**41], None, length - 1).stripped
    least = len(encode(0, [2**40, 2**41], None, length - 1).metadata)
    assert encode(0, [2**40, 2**41], None, least).metadata
    assert not encode(0, [2**40, 2**41], None, least - 1).metadata


@pytest.mark.parametrize(("count", "stripped"), [(2**15, False), (2**15 + 1, True)])
def test_runs_are_written_up_to_the_longest_body_that_is_read(count: int, stripped: bool) -> None:
    # Too far apart for a bitset.
    encoded = encode(0, range(10, 10 * count + 1, 10), None)
    assert encoded.stripped is stripped
    assert encoded.ratio == 2.0 if stripped else encoded.ratio < 1


@pytest.mark.parametrize(("span", "stripped"), [(2**18, False), (2**18 + 1, True)])
def test_a_bitset_is_written_up_to_the_longest_span_that_is_read(span: int, stripped: bool) -> None:
    # Too many runs for their own form.
    completed = [*spread(2**17, span, commit_point=0), span]
    assert encode(0, completed, None, 100_000).stripped is stripped


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param(2, b"\0" + b"\xff" * 8 + b"\x7f", id="a run of 2**63"),
        pytest.param(2, b"\xff" * 20, id="a number without an end"),
        pytest.param(2, b"\1", id="half a pair"),
        pytest.param(2, b"\0\x80\x80\x80\x01" * 2, id="more than a map may name"),
        pytest.param(1, b"\xff" * 40_000, id="a bitset longer than any"),
        pytest.param(0x81, zlib.compress(bytes(10**7), 9, wbits=-15), id="a deflated bomb"),
        pytest.param(0x82, zlib.compress(bytes(2**17), 9, wbits=-15), id="a deflated bomb of runs"),
        pytest.param(0x81, zlib.compress(b"abc", wbits=-15)[:-1], id="deflated and cut"),
        pytest.param(0x81, zlib.compress(b"abc", wbits=-15) + b"x", id="deflated and more"),
        pytest.param(0x81, b"\xff\xff", id="not deflated"),
        pytest.param(0, b"x", id="left out, and not"),
        pytest.param(0x80, zlib.compress(b"x", wbits=-15), id="left out, and deflated"),
        pytest.param(3, b"", id="a kind of later"),
    ],
)
def test_a_right_checksum_is_not_enough(kind: int, body: bytes) -> None:
    rest = b"\0" + body
    checksum = zlib.crc32(bytes([kind]) + (5).to_bytes(8, "big") + rest).to_bytes(4, "big")
    packed = bytes([kind]) + checksum + rest
    assert decode(f"kt1:{base64.b64encode(packed).decode()}", 5) is None


@pytest.mark.parametrize(("size", "count"), [(2**15, 2**18), (2**15 + 1, None)])
def test_a_bitset_is_read_up_to_its_longest_span(size: int, count: int | None) -> None:
    rest = b"\0" + zlib.compress(b"\xff" * size, 9, wbits=-15)
    packed = b"\x81" + zlib.crc32(b"\x81" + bytes(8) + rest).to_bytes(4, "big") + rest
    found = decode(f"kt1:{base64.b64encode(packed).decode()}", 0)
    assert (None if found is None else len(found.completed)) == count


@pytest.mark.parametrize("inserted", ["!", "\n", " "])
def test_a_map_with_a_character_of_no_base64_is_not_believed(inserted: str) -> None:
    metadata = encode(0, [2], None).metadata
    assert decode(metadata[:8] + inserted + metadata[8:], 0) is None


@pytest.mark.parametrize("commit_point", [-1, 2**63])
def test_no_map_is_made_beside_an_impossible_offset(commit_point: int) -> None:
    with pytest.raises(ValueError, match=f"^{commit_point} is no offset$"):
        encode(commit_point, [], None)


def test_the_highest_offset_is_read_and_none_above_it() -> None:
    highest = 2**63 - 1
    assert decode(encode(highest - 9, [highest], None).metadata, highest - 9) == OffsetMap(
        frozenset({highest}), None
    )
    for gap, done, read in ((7, 2, True), (8, 2, False), (9, 1, False)):
        rest = bytes([0, gap, done])
        known = bytes([2]) + (highest - 9).to_bytes(8, "big")
        packed = bytes([2]) + zlib.crc32(known + rest).to_bytes(4, "big") + rest
        found = decode(f"kt1:{base64.b64encode(packed).decode()}", highest - 9)
        assert (found is not None) is read, (gap, done)


def test_the_highest_commit_point_has_a_map() -> None:
    assert decode(encode(2**63 - 1, [], 7).metadata, 2**63 - 1) == OffsetMap(frozenset(), 7)


def test_the_commit_point_itself_is_in_no_map() -> None:
    with pytest.raises(ValueError, match=r"^offset 5 is not above the commit point 5$"):
        encode(5, [5], None)


@pytest.mark.parametrize("completed", [[5], [4], [6, 6], [7, 6], [6, 7, 2**63]])
def test_offsets_that_make_no_map_are_refused(completed: list[int]) -> None:
    with pytest.raises(ValueError, match="offset"):
        encode(5, completed, None)


@pytest.mark.parametrize(("ratio", "may"), [(0.0, True), (0.75, True), (0.751, False), (1.2, False)])
def test_above_three_quarters_of_the_limit_no_record_may_start_beyond(ratio: float, may: bool) -> None:
    assert may_start_beyond(ratio) is may


@pytest.mark.parametrize("golden", GOLDEN, ids=[golden["name"] for golden in GOLDEN])
def test_maps_of_earlier_versions_are_read(golden: dict[str, object]) -> None:
    ranges: list[list[int]] = golden["completed"]  # type: ignore[assignment]  # as the file has it
    completed = frozenset(chain.from_iterable(range(first, last + 1) for first, last in ranges))
    read = decode(str(golden["metadata"]), int(str(golden["commit_point"])))
    assert read == OffsetMap(completed, golden["scan_from"], bool(golden["stripped"]))  # type: ignore[arg-type]  # likewise
