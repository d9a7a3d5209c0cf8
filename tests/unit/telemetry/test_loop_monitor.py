"""The monitor of the event loop: the stalls that it sees and logs, on a real loop that is really held."""

import asyncio
import logging
import time

import msgspec
import pytest

from streams.telemetry.hook import Hook
from streams.telemetry.loop_monitor import HELD_S, LoopMonitor, Stall
from streams.telemetry.metrics import Metrics
from tests.support.system import eventually


class Told(Hook):
    def __init__(self) -> None:
        self.lags: list[float] = []
        self.stalls: list[float] = []

    def loop_lagged(self, lag_s: float) -> None:
        self.lags.append(lag_s)

    def loop_stalled(self, duration_s: float) -> None:
        self.stalls.append(duration_s)


def compute(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def wait_in_a_blocking_call(seconds: float) -> None:
    time.sleep(seconds)


async def hold(monitor: LoopMonitor, call, seconds: float) -> Stall:
    """Hold the loop from a task, and return the stall of that task (not one of a busy machine)."""

    async def task() -> None:
        call(seconds)

    await asyncio.sleep(0.05)
    before = {id(stall) for stall in monitor.stalls}
    await asyncio.create_task(task())

    def kept() -> list[Stall]:
        return [
            stall
            for stall in monitor.stalls
            if id(stall) not in before and stall.duration_s is not None and stall.duration_s > seconds / 2
        ]

    await eventually(kept, 10, "the stall is kept")
    return kept()[0]


async def test_a_computing_callback_is_named_with_its_line_and_processor_time() -> None:
    with LoopMonitor(told := Told()) as monitor:
        stall = await hold(monitor, compute, 0.5)
    assert "compute" in stall.stack[-1]
    assert "test_loop_monitor.py:" in stall.stack[-1]
    assert "task" in stall.stack[-2]
    assert "run_forever" not in "".join(stall.stack), "the loop's own frames say nothing"
    assert stall.alone
    assert stall.cpu_s is not None
    assert stall.cpu_s > 0.3
    assert stall.duration_s in [round(seconds, 3) for seconds in told.stalls]


async def test_a_callback_in_a_blocking_call_is_named() -> None:
    with LoopMonitor(Hook()) as monitor:
        stall = await hold(monitor, wait_in_a_blocking_call, 0.5)
    assert "wait_in_a_blocking_call" in "".join(stall.stack)
    assert stall.cpu_s is not None
    assert stall.cpu_s < 0.3, "it used no processor"


async def test_many_short_callbacks_in_turn_are_one_stall_that_blames_none_alone() -> None:
    with LoopMonitor(Hook()) as monitor:
        loop = asyncio.get_running_loop()

        def held() -> list[Stall]:
            return [stall for stall in monitor.stalls if stall.cpu_s is not None and stall.cpu_s > HELD_S]

        # One of them is held up itself, now and then, where the machine is busy.
        for _ in range(5):
            await asyncio.sleep(0.05)
            before = len(held())
            for _ in range(500):
                loop.call_soon(compute, 0.001)
            await eventually(lambda before=before: len(held()) > before, 20, "a stall")
            if not held()[-1].alone:
                break
        assert not held()[-1].alone


async def test_a_prompt_loop_reports_lag_and_no_stall() -> None:
    with LoopMonitor(told := Told()) as monitor:
        await eventually(lambda: len(told.lags) > 5, 10, "some beats")
        # A machine that is busy elsewhere may hold us up, but then nothing of ours is to blame.
        assert not [stall for stall in monitor.stalls if stall.cpu_s is not None and stall.cpu_s > HELD_S]
    assert min(told.lags) < HELD_S


async def test_a_second_stall_soon_after_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), LoopMonitor(told := Told()) as monitor:
        for _ in range(3):
            await hold(monitor, compute, 0.2)
    reports = [record.getMessage() for record in caplog.records if "event loop was held" in record.message]
    assert len(reports) == 1
    assert len(told.stalls) >= 3
    assert len(monitor.stalls) >= 3


async def test_a_stall_without_computing_of_ours_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), LoopMonitor(Hook()) as monitor:
        await hold(monitor, wait_in_a_blocking_call, 0.3)
        await hold(monitor, compute, 0.5)
    blocked, computed = (
        [one for one in caplog.records if "event loop was held" in one.message and name in one.message]
        for name in ("wait_in_a_blocking_call", "compute")
    )
    assert [one.levelname for one in blocked] == ["INFO"]
    assert [one.levelname for one in computed] == ["WARNING"], "the other has not silenced it"


async def test_the_state_shows_stalls_as_plain_values() -> None:
    with LoopMonitor(Hook()) as monitor:
        stall = await hold(monitor, compute, 0.3)
        shown = monitor.state()
    assert shown["held_over_s"] == HELD_S
    assert msgspec.to_builtins(stall) in [msgspec.to_builtins(one) for one in shown["stalls"]]


async def test_a_stall_in_progress_is_visible_from_another_thread() -> None:
    with LoopMonitor(Hook()) as monitor:

        def held() -> list[Stall]:
            until = time.monotonic() + 10
            while time.monotonic() < until:
                stalls = [stall for stall in monitor.stalls if stall.duration_s is None]
                if found := [stall for stall in stalls if "compute" in "".join(stall.stack[-1:])]:
                    return found
            return []

        seen = asyncio.get_running_loop().run_in_executor(None, held)
        await asyncio.sleep(0.05)
        compute(0.6)
        assert await seen


async def test_nothing_is_watched_after_the_block() -> None:
    with LoopMonitor(told := Told()) as monitor:
        await eventually(lambda: told.lags, 10, "a beat")
    seen = len(told.lags)
    compute(0.3)
    await asyncio.sleep(0.1)
    assert len(told.lags) == seen
    assert not [stall for stall in monitor.stalls if "compute" in "".join(stall.stack)]


def test_the_metrics_count_lags_and_stalls() -> None:
    metrics = Metrics()
    metrics.loop_lagged(0.002)
    metrics.loop_lagged(0.3)
    metrics.loop_stalled(0.3)
    text = metrics.render().decode()
    assert 'kotae_event_loop_lag_seconds_bucket{le="0.0025"} 1.0' in text
    assert "kotae_event_loop_lag_seconds_count 2.0" in text
    assert "kotae_event_loop_stalls_total 1.0" in text
