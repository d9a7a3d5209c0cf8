"""Which processes are started, how long after a crash, and the exit code of the whole."""

import asyncio
import os
import signal

import pytest

from streams.process.backoff import Backoff
from streams.worker.supervisor import RESTART_STEPS_S, WELL_S, Supervisor

LONGEST_S = RESTART_STEPS_S[-1]


class FakeChild:
    """Ends when the test says so, or at a signal with the exit code that `answers` has for it."""

    def __init__(self, answers: dict[signal.Signals, int]) -> None:
        self.pid = 1
        self.received: list[signal.Signals] = []
        self._answers = answers
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def signal(self, number: signal.Signals) -> None:
        self.received.append(number)
        if number in self._answers or number is signal.SIGKILL:
            self.end(self._answers.get(number, -number))

    def end(self, code: int) -> None:
        if not self._code.done():
            self._code.set_result(code)

    async def wait(self) -> int:
        return await asyncio.shield(self._code)


class House:
    """A running supervisor of fake processes."""

    def __init__(self, count: int = 3, answers: dict[signal.Signals, int] | None = None) -> None:
        self.answers = {signal.SIGTERM: 0} if answers is None else answers
        self.children: list[tuple[int, FakeChild, float]] = []
        loop = asyncio.get_running_loop()
        self.supervisor = Supervisor(
            self.start,  # type: ignore[arg-type]
            count,
            grace_s=30,
            close_s=20,
            backoff=lambda: Backoff(RESTART_STEPS_S, well_s=WELL_S, clock=loop.time),
        )
        self.fails: Exception | None = None
        self.task = asyncio.create_task(self.supervisor.run())

    def start(self, index: int) -> FakeChild:
        if self.fails is not None:
            raise self.fails
        child = FakeChild(self.answers)
        self.children.append((index, child, asyncio.get_running_loop().time()))
        return child

    def latest(self, index: int) -> FakeChild:
        return [child for number, child, _ in self.children if number == index][-1]

    def starts(self, index: int) -> list[float]:
        return [at for number, _, at in self.children if number == index]


@pytest.mark.looptime
async def test_only_the_crashed_process_is_started_again_after_its_wait() -> None:
    house = House()
    await asyncio.sleep(1)
    for _ in range(3):
        house.latest(1).end(-signal.SIGKILL)
        await asyncio.sleep(10)
    assert [number for number, _, _ in house.children] == [0, 1, 2, 1, 1, 1]
    first, *restarts = house.starts(1)
    crashes = [first + 1, first + 11, first + 21]
    assert restarts == pytest.approx([at + w for at, w in zip(crashes, [0.5, 1, 2], strict=True)])
    house.supervisor.stop()
    assert await house.task == 0


@pytest.mark.looptime
async def test_a_process_that_ends_by_itself_with_code_0_is_started_again() -> None:
    house = House(count=1)
    await asyncio.sleep(1)
    house.latest(0).end(0)
    await asyncio.sleep(1)
    assert len(house.children) == 2
    house.supervisor.stop()
    assert await house.task == 0


@pytest.mark.looptime
async def test_a_process_with_wrong_settings_ends_all() -> None:
    house = House()
    await asyncio.sleep(1)
    house.latest(2).end(2)
    assert await house.task == 2
    assert len(house.children) == 3
    assert [child.received for _, child, _ in house.children] == [[signal.SIGTERM], [signal.SIGTERM], []]


@pytest.mark.looptime
async def test_a_process_whose_first_start_fails_ends_all() -> None:
    house = House()
    await asyncio.sleep(1)
    house.latest(2).end(4)
    assert await house.task == 1
    assert len(house.children) == 3
    assert [child.received for _, child, _ in house.children] == [[signal.SIGTERM], [signal.SIGTERM], []]


@pytest.mark.looptime
@pytest.mark.parametrize("code", [1, 3, -signal.SIGKILL])
async def test_a_process_whose_later_start_fails_is_started_again(code: int) -> None:
    """The broker may be unreachable just then."""
    house = House(count=1)
    await asyncio.sleep(1)
    for ending in (code, 4, 4):
        house.latest(0).end(ending)
        await asyncio.sleep(10)
    assert len(house.children) == 4
    house.supervisor.stop()
    assert await house.task == 0


@pytest.mark.looptime
async def test_a_start_that_fails_while_draining_is_no_failure() -> None:
    house = House(answers={signal.SIGTERM: 4})
    await asyncio.sleep(1)
    house.supervisor.stop()
    assert await house.task == 0


@pytest.mark.looptime
@pytest.mark.parametrize(("code", "exit_code"), [(0, 0), (-signal.SIGTERM, 0), (1, 1), (-signal.SIGKILL, 1)])
async def test_the_exit_code_says_whether_all_drained(code: int, exit_code: int) -> None:
    house = House(answers={})
    await asyncio.sleep(1)
    house.supervisor.stop()
    await asyncio.sleep(1)
    for index, ending in enumerate([0, code, 0]):
        assert house.latest(index).received == [signal.SIGTERM]
        house.latest(index).end(ending)
    assert await house.task == exit_code
    assert len(house.children) == 3


@pytest.mark.looptime
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_each_signal_is_passed_on_once(number: signal.Signals) -> None:
    house = House(answers={})
    await asyncio.sleep(1)
    for told in (1, 2):
        os.kill(os.getpid(), number)
        while len(house.latest(0).received) < told:  # noqa: ASYNC110 - virtual time, real signal
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        assert house.latest(0).received == [signal.SIGTERM] * told
    for index in range(3):
        house.latest(index).end(0)
    assert await house.task == 0


@pytest.mark.looptime
async def test_a_process_that_does_not_drain_is_killed() -> None:
    house = House(answers={})
    await asyncio.sleep(1)
    begun = asyncio.get_running_loop().time()
    house.supervisor.stop()
    assert await house.task == 1
    assert asyncio.get_running_loop().time() - begun == pytest.approx(50)


@pytest.mark.looptime
async def test_a_process_that_does_not_hurry_is_killed_sooner() -> None:
    house = House(answers={})
    await asyncio.sleep(1)
    begun = asyncio.get_running_loop().time()
    house.supervisor.stop()
    house.supervisor.stop()
    assert await house.task == 1
    assert asyncio.get_running_loop().time() - begun == pytest.approx(20)


@pytest.mark.looptime
async def test_stop_does_not_wait_for_a_restart() -> None:
    house = House(count=1)
    await asyncio.sleep(1)
    for _ in range(8):
        house.latest(0).end(1)
        await asyncio.sleep(LONGEST_S + 1)
    house.latest(0).end(1)
    await asyncio.sleep(1)
    begun = asyncio.get_running_loop().time()
    house.supervisor.stop()
    assert await house.task == 0
    assert asyncio.get_running_loop().time() - begun < 1


@pytest.mark.looptime
async def test_a_start_that_the_machine_refuses_is_repeated() -> None:
    house = House(count=2)
    await asyncio.sleep(1)
    house.fails = OSError(11, "Resource temporarily unavailable")
    house.latest(0).end(1)
    await asyncio.sleep(2)
    assert len(house.children) == 2
    house.fails = None
    await asyncio.sleep(2)
    assert [number for number, _, _ in house.children] == [0, 1, 0]
    house.supervisor.stop()
    assert await house.task == 0


async def test_no_process_is_left_when_the_supervisor_is_cancelled() -> None:
    house = House(answers={})
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    house.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await house.task
    assert [child.received for _, child, _ in house.children] == [[signal.SIGKILL]] * 3
