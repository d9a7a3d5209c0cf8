"""Server-sent events, cut anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.models.sse import EventDecoder, ServerEvent


def decode(*pieces: bytes) -> list[tuple[str, bytes]]:
    decoder = EventDecoder()
    events: list[ServerEvent] = []
    for piece in pieces:
        events += decoder.feed(piece)
    return [(event.name, event.data) for event in [*events, *decoder.close()]]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b": a comment\ndata: a\n\n: ping\n\n", [b"a"]),
        (b"data: one\ndata: two\n\n", [b"one\ntwo"]),
        (b"data: one\r\ndata: two\r\n\r\n", [b"one\ntwo"]),
        (b"data:a\n\ndata:  b\n\n", [b"a", b" b"]),
        (b"data\n\n", [b""]),
        (b"id: 7\nretry: 10\nunknown: x\ndata: a\n\n", [b"a"]),
        (b"event: only\n\n", []),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data: the last one", [b"the last one"]),
        (b"data: the last one\r", [b"the last one"]),
        (b"", []),
    ],
)
def test_a_stream_gives_the_same_events_for_every_cut(stream: bytes, events: list[bytes]) -> None:
    assert [data for _, data in decode(stream)] == events
    assert [data for _, data in decode(*(stream[i : i + 1] for i in range(len(stream))))] == events


def test_events_have_names() -> None:
    assert decode(b"event: error\ndata: x\n\ndata: y\n\n") == [("error", b"x"), ("message", b"y")]


def test_an_event_comes_with_the_piece_that_completes_it() -> None:
    decoder = EventDecoder()
    assert decoder.feed(b"data: a\n") == []
    assert decoder.feed(b"\nda") == [ServerEvent("message", b"a")]


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), max_size=5),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.data(),
)
def test_any_cut_gives_the_same_events(texts: list[str], end: bytes, data: st.DataObject) -> None:
    stream = b"".join(b"data: " + text.encode() + end + end for text in texts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [event[1].decode() for event in decode(*pieces)] == texts
