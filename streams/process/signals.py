"""SIGTERM and SIGINT as a call: how a person or a scheduler tells a process to end."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

ENDING = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """While the block lasts, each of the two calls `stop`, on the running event loop."""
    loop = asyncio.get_running_loop()
    for number in ENDING:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in ENDING:
            loop.remove_signal_handler(number)
