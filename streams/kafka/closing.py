"""Ends aiokafka's clients within bounds."""

import asyncio
from collections.abc import Awaitable


async def within(timeout_s: float, closing: Awaitable[None]) -> bool:
    """Whether it has ended well. Raises nothing but the caller's own cancellation.

    Without a broker, or where a fetch has just begun, what closes an aiokafka client hangs or raises
    CancelledError: either would end whoever waits for it.
    """
    task = asyncio.ensure_future(closing)
    try:
        await asyncio.wait({task}, timeout=timeout_s)
    finally:
        task.cancel()
    [problem] = await asyncio.gather(task, return_exceptions=True)
    return problem is None
