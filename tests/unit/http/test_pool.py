"""The bodies of requests."""

import tracemalloc

import orjson
import pytest

from agents.http.pool import json_body


@pytest.mark.parametrize("characters", [1, 900, 3_000, 50_000])
def test_a_body_takes_no_more_memory_than_it_has_bytes(characters: int) -> None:
    value = {"messages": [{"role": "user", "content": "x" * characters}]}
    assert orjson.loads(json_body(value)) == value
    tracemalloc.start()
    try:
        body = json_body(value)
        length = len(body)
        with_it, _ = tracemalloc.get_traced_memory()
        del body
        without_it, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert abs(with_it - without_it - length) < 100
