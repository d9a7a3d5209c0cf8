"""A recovery ends with the rebalance that began it."""

import asyncio

from tests.support.consumer import LeasedMember


class Recovering(LeasedMember):
    """Recovers for ever; to break it off takes a while, because its clients are to be closed."""

    began = 0
    closed = 0

    async def recovery(self) -> None:
        self.began += 1
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(20):
                await asyncio.sleep(0)
            self.closed += 1


async def test_closing_waits_for_a_recovery_that_a_rebalance_has_broken_off() -> None:
    member = Recovering()
    await member.assign()
    await asyncio.sleep(0)
    await member.assign()
    await member.rebalance.aclose()
    assert member.began == member.closed == 1
