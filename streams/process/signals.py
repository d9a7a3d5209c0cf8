"""SIGTERM and SIGINT, by which people and schedulers tell a process to end, as a call."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

ENDING = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on the running event loop at each of the two signals, while the block lasts."""
    loop = asyncio.get_running_loop()
    for number in ENDING:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in ENDING:
            loop.remove_signal_handler(number)
