"""The offsets above a commit point that are done, as text that a commit carries along. Pure.

After a restart, the records at these offsets do not run again. The text is `kt1:` and the base64 of

    kind (1 byte) | CRC-32 (4 bytes) | scan position + 1, or 0 for none (varint) | body

where the body starts one above the commit point: a bitset (the highest bit of each byte first), or the
lengths of runs (varints; incomplete, done, incomplete, …), deflated where that is smaller. The checksum
covers the commit point too: a map that is damaged, or belongs to another offset, is no map. To believe it
would skip questions; to drop it only repeats work.
"""

import binascii
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

METADATA_MAX = 4096
"""The broker's default for `offset.metadata.max.bytes`, which it counts in characters."""
START_BEYOND_MAX = 0.75
"""Share of the limit above which no record may start that would make the map longer."""
COMPLETED_MAX = 1 << 20
"""Most offsets that a map names. Runs could name any number in a few bytes, and a reader holds them all."""

_MAGIC = "kt1:"
_OFFSET_MAX = (1 << 63) - 1
_BODY_MAX = 1 << 16
"""Longest body in bytes, inflated: it bounds the memory that a few bytes can make a reader use."""
_BITSET_MAX = 1 << 18
"""Longest span of a bitset: a map of a longer span that could be deflated to fit is shorter as runs."""

_STRIPPED, _BITSET, _RUNS = 0, 1, 2
_DEFLATED = 0x80
_RAW_DEFLATE = -15


@dataclass(frozen=True, slots=True)
class Encoded:
    """A map to commit.

    Attributes:
        metadata: the text, never longer than the limit.
        stripped: the map was left out, being too long.
        ratio: how much of the limit the whole map takes; over 1 where it was stripped.
    """

    metadata: str
    stripped: bool
    ratio: float


@dataclass(frozen=True, slots=True)
class OffsetMap:
    """A map that was read.

    Attributes:
        completed: the offsets above the commit point that are done.
        scan_from: where in the `answers` partition the recovery scan starts; None: not known.
        stripped: the map was too long and left out, so `completed` is empty.
    """

    completed: frozenset[int]
    scan_from: int | None
    stripped: bool = False


def encode(
    commit_point: int,
    completed: Iterable[int],
    scan_from: int | None,
    limit: int = METADATA_MAX,
) -> Encoded:
    """Encode the map in the smallest text.

    Args:
        commit_point: the offset to be committed with it.
        completed: the offsets above it that are done, ascending.
        scan_from: the position in `answers` to scan from, given this map. It is left out with the map: the
            answers that an earlier map vouched for are below it, and only times tell where they begin.
        limit: most characters.

    Raises:
        ValueError: `completed` is not ascending, or not above the commit point.
    """
    runs = _runs(commit_point, completed)
    done = sum(runs[1::2])
    candidates = _candidates(runs) if done <= COMPLETED_MAX else []
    if candidates:
        kind, body = min(candidates, key=lambda candidate: len(candidate[1]))
        metadata = _pack(kind, commit_point, scan_from, body)
        ratio = max(len(metadata) / limit, done / COMPLETED_MAX)
        if ratio <= 1:
            return Encoded(metadata, stripped=False, ratio=ratio)
    else:
        ratio = max(done / COMPLETED_MAX, 2.0)
    metadata = _pack(_STRIPPED, commit_point, None, b"")
    return Encoded(metadata if len(metadata) <= limit else "", stripped=True, ratio=ratio)


def decode(metadata: str | None, commit_point: int) -> OffsetMap | None:
    """Read the text that was committed with this offset; raise nothing.

    Returns:
        None where it is empty, of another writer or version, damaged, or of another commit point.
    """
    if not metadata or not metadata.startswith(_MAGIC) or not 0 <= commit_point <= _OFFSET_MAX:
        return None
    try:
        packed = binascii.a2b_base64(metadata[len(_MAGIC) :], strict_mode=True)
        kind, checksum, rest = packed[0], packed[1:5], packed[5:]
        if checksum != _checksum(kind, commit_point, rest):
            return None
        scan, at = _read_varint(rest, 0)
        body = rest[at:]
        if kind & _DEFLATED:
            kind, body = kind ^ _DEFLATED, _inflate(body)
        return OffsetMap(_completed(kind, commit_point, body), scan - 1 if scan else None, kind == _STRIPPED)
    except (ValueError, IndexError, zlib.error):
        return None


def may_start_beyond(ratio: float) -> bool:
    """Return whether records above the highest completed offset may start after a map of this `ratio`.

    Records below it never make the map's span longer.
    """
    return ratio <= START_BEYOND_MAX


def _runs(commit_point: int, completed: Iterable[int]) -> list[int]:
    """Return lengths from one above the commit point: incomplete (the first may be 0), done, …, done."""
    offsets = list(completed)
    if not 0 <= commit_point <= _OFFSET_MAX:
        raise ValueError(f"{commit_point} is no offset")
    if not offsets:
        return []
    if offsets[0] <= commit_point or offsets[-1] > _OFFSET_MAX:
        raise ValueError(f"offset {offsets[0]} is not above the commit point {commit_point}")
    starts = [i for i in range(1, len(offsets)) if offsets[i] != offsets[i - 1] + 1]
    runs: list[int] = []
    last, first = commit_point, 0
    for start in (*starts, len(offsets)):
        gap = offsets[first] - last - 1
        if gap < 0:
            raise ValueError(f"offset {offsets[first]} comes after {last}")
        runs += (gap, start - first)
        last, first = offsets[start - 1], start
    return runs


def _candidates(runs: list[int]) -> list[tuple[int, bytes]]:
    bodies = [(_RUNS, _varints(runs))]
    span = sum(runs)
    if span <= _BITSET_MAX:
        bodies.append((_BITSET, _bitset(runs, span)))
    fitting = [(kind, body) for kind, body in bodies if len(body) <= _BODY_MAX]
    return fitting + [
        (kind | _DEFLATED, zlib.compress(body, 9, wbits=_RAW_DEFLATE)) for kind, body in fitting if body
    ]


def _bitset(runs: list[int], span: int) -> bytes:
    if not runs:
        return b""
    digits = bytearray(b"0" * (-(-span // 8) * 8))
    at = 0
    for gap, done in zip(runs[::2], runs[1::2], strict=True):
        at += gap
        digits[at : at + done] = b"1" * done
        at += done
    # A base that is a power of two is read in linear time, in C.
    return int(bytes(digits), 2).to_bytes(len(digits) // 8, "big")


def _completed(kind: int, commit_point: int, body: bytes) -> frozenset[int]:
    first = commit_point + 1
    if kind == _BITSET and len(body) * 8 <= _BITSET_MAX:
        digits = f"{int.from_bytes(body, 'big'):0{len(body) * 8}b}" if body else ""
        return frozenset(first + i for i, digit in enumerate(digits) if digit == "1")
    if kind == _RUNS:
        return _completed_runs(first, body)
    if kind == _STRIPPED and not body:
        return frozenset()
    raise ValueError(f"no such kind of map: {kind}")


def _completed_runs(first: int, body: bytes) -> frozenset[int]:
    completed: set[int] = set()
    at, offset = 0, first
    while at < len(body):
        gap, at = _read_varint(body, at)
        done, at = _read_varint(body, at)
        offset += gap
        if offset + done > _OFFSET_MAX + 1 or len(completed) + done > COMPLETED_MAX:
            raise ValueError("more offsets than a map can hold")
        completed.update(range(offset, offset + done))
        offset += done
    return frozenset(completed)


def _inflate(body: bytes) -> bytes:
    inflater = zlib.decompressobj(_RAW_DEFLATE)
    inflated = inflater.decompress(body, _BODY_MAX)
    if not inflater.eof or inflater.unused_data:
        raise ValueError("the deflated body does not end where it should")
    return inflated


def _pack(kind: int, commit_point: int, scan_from: int | None, body: bytes) -> str:
    rest = _varints([0 if scan_from is None else scan_from + 1]) + body
    packed = bytes((kind,)) + _checksum(kind, commit_point, rest) + rest
    return _MAGIC + binascii.b2a_base64(packed, newline=False).decode("ascii")


def _checksum(kind: int, commit_point: int, rest: bytes) -> bytes:
    known = zlib.crc32(bytes((kind,)) + commit_point.to_bytes(8, "big"))
    return zlib.crc32(rest, known).to_bytes(4, "big")


def _varints(numbers: list[int]) -> bytes:
    if not numbers or max(numbers) < 0x80:
        return bytes(numbers)
    out = bytearray()
    for number in numbers:
        while number >= 0x80:
            out.append(number & 0x7F | 0x80)
            number >>= 7  # noqa: PLW2901 - taken apart from its lower end
        out.append(number)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number (of 64 bits at most) and where the next one starts; raise IndexError at the end."""
    number = 0
    for shift in range(0, 64, 7):
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError("a number is longer than 64 bits")
