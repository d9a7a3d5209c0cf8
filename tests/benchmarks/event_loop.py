"""The event loop of the programs around the contenders: the load and the services.

They run on uvloop if it is installed: it halves the cost of the services (60 to 26 us a call), which leaves
more of the machine to the contenders. The contenders keep their own loop.
"""

import asyncio
from collections.abc import Coroutine
from importlib.util import find_spec
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` on uvloop if it is installed."""
    if find_spec("uvloop") is None:
        return asyncio.run(main)
    import uvloop  # only the benchmarks' own environment has it

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
