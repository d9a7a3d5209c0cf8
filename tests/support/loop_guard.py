"""A test in which our code blocks the event loop fails.

Only what can wait for long is guarded: looking up a file's name costs microseconds, and imports are full
of it.
"""

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

PACKAGES = ["agents", "schemas", "streams"]
GUARDED = ("time.sleep", "socket.", "ssl.", "io.", "sqlite3.", "builtins.input")

PROGRAMS = ["streams.local.broker", "streams.local.kafka_jars"]
"""They start programs of this machine beside a demo or a test: nothing is answered on that loop."""

EXEMPT = [
    # A module that is imported when it is first needed, and a package that looks up its version: once.
    ("<frozen importlib._bootstrap>", {"_find_and_load"}),
    ("importlib/metadata/__init__.py", {"version"}),
    # What is read under /proc is the kernel's memory: it does not wait for a disk.
    ("prometheus_client/process_collector.py", {"collect"}),
    # A time zone's 2 kB are read when it is first named, and kept.
    ("streams/local/zones.py", {"find_zone"}),
]


@pytest.fixture(autouse=True)
def nothing_blocks_the_loop() -> Iterator[None]:
    """Raises `BlockingError` where our code would block."""
    with blockbuster_ctx(PACKAGES, excluded_modules=PROGRAMS) as guard:
        for name, function in guard.functions.items():
            if not name.startswith(GUARDED):
                function.deactivate()
            for filename, functions in EXEMPT:
                function.can_block_in(filename, functions)
        yield
