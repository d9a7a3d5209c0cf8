"""Fails a test in which our code blocks the event loop.

Only calls that can wait for long are guarded: looking up a file's name costs microseconds, and imports are
full of it.
"""

from collections.abc import Iterator

import blockbuster.blockbuster
import pytest
from blockbuster import BlockingError, blockbuster_ctx

PACKAGES = ["agents", "schemas", "streams"]
GUARDED = ("time.sleep", "socket.", "ssl.", "io.", "sqlite3.", "builtins.input")

PROGRAMS = ["streams.local.broker", "streams.local.kafka_jars"]
"""They start programs of this machine beside a demo or a test: nothing is answered on that loop."""

EXEMPT = [
    # A module that is imported when it is first needed, and a package that looks up its version: once.
    ("<frozen importlib._bootstrap>", {"_find_and_load"}),
    ("importlib/metadata/__init__.py", {"version"}),
    # Files under /proc are the kernel's memory: reading them does not wait for a disk.
    ("prometheus_client/process_collector.py", {"collect"}),
    # pytest's handlers write files; a worker's only handler is a queue.
    ("logging/__init__.py", {"emit"}),
    # A time zone's 2 kB are read when it is first named, and kept.
    ("streams/local/zones.py", {"find_zone"}),
]


@pytest.fixture(autouse=True)
def blocked_calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Raises `BlockingError` where our code would block, and fails the test in the end even where it was
    caught; a test that wants one takes it out of the list."""
    blocked: list[str] = []

    class RecordedBlockingError(BlockingError):
        def __init__(self, function: str) -> None:
            super().__init__(function)
            blocked.append(function)

    # Most of our stages turn any error into a degraded answer, which would pass for a success.
    monkeypatch.setattr(blockbuster.blockbuster, "BlockingError", RecordedBlockingError)
    with blockbuster_ctx(PACKAGES, excluded_modules=PROGRAMS) as guard:
        for name, function in guard.functions.items():
            if not name.startswith(GUARDED):
                function.deactivate()
            for filename, functions in EXEMPT:
                function.can_block_in(filename, functions)
        yield blocked
    assert blocked == [], "our code blocked the event loop"
