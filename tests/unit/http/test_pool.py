"""The bodies of requests."""

import tracemalloc

import orjson
import pytest

from agents.http import pool
from agents.http.pool import json_body


@pytest.mark.parametrize("characters", [1, 900, 3_000, 50_000])
def test_a_body_takes_no_more_memory_than_it_has_bytes(characters: int) -> None:
    value = {"messages": [{"role": "user", "content": "x" * characters}]}
    tracemalloc.start()
    try:
        body = json_body(value)
        snapshot = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    # Other threads of a test run allocate too, meanwhile.
    ours = snapshot.filter_traces([tracemalloc.Filter(inclusive=True, filename_pattern=pool.__file__)])
    held = sum(each.size for each in ours.statistics("filename"))
    assert orjson.loads(body) == value
    assert len(body) <= held < len(body) + 100
