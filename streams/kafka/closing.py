"""Ends aiokafka's clients within bounds."""

import asyncio
from collections.abc import Awaitable


async def within(timeout_s: float, closing: Awaitable[None]) -> bool:
    """Return whether the closing ended well; raise nothing but the caller's own cancellation.

    Without a broker, or where a fetch has just begun, the closing of an aiokafka client hangs or raises
    CancelledError: either would end the caller.
    """
    task = asyncio.ensure_future(closing)
    try:
        await asyncio.wait({task}, timeout=timeout_s)
    finally:
        task.cancel()
    [problem] = await asyncio.gather(task, return_exceptions=True)
    return problem is None
