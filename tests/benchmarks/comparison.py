"""Contenders under the same closed loop, in turns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.figures import Row, row
from tests.benchmarks.progress import Steps
from tests.benchmarks.rig import Rig, Workload


@dataclass(frozen=True, slots=True)
class Plan:
    """The extent of the measurement: rounds, and seconds at each number of users."""

    contenders: Sequence[str]
    users: Sequence[int]
    rounds: int
    seconds: float
    warm_up_s: float = 2.0

    @property
    def steps(self) -> int:
        return self.rounds * len(self.contenders) * len(self.users)


def why(error: BaseException) -> str:
    """An error in one line: the last line of its message, or its type."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


async def compare(
    rig: Rig, workload: Workload, plan: Plan, steps: Steps, keep: Callable[[Row], None]
) -> dict[str, str]:
    """Pass each row to `keep` as soon as it is measured; returns why contenders are missing.

    A round starts every contender anew, alone beside broker and services, and takes it through all numbers
    of users. Each round begins with another contender, so that none is always the first. A contender that
    fails is tried again in the next round.
    """
    missing = {
        name: f"{CONTENDERS[name].package} is not installed"
        for name in plan.contenders
        if not CONTENDERS[name].installed
    }
    for number in range(plan.rounds):
        begin = number % len(plan.contenders)
        for name in [*plan.contenders[begin:], *plan.contenders[:begin]]:
            done = 0
            if CONTENDERS[name].installed:
                try:
                    async with rig.running(CONTENDERS[name], workload) as running, running.load() as load:
                        for users in plan.users:
                            steps.begin(f"{workload.name}: {name}, {users:,} users")
                            # A wave of thousands takes seconds to spread out, and so do its answers.
                            longer = max(1.0, users / 500)
                            found = await running.measure(
                                load,
                                users,
                                plan.seconds * min(2.0, longer),
                                warm_up_s=plan.warm_up_s * longer,
                                ramp_s=users / 1000,
                            )
                            keep(row(name, workload.name, found))
                            steps.done()
                            done += 1
                except Exception as error:  # noqa: BLE001 - its failure is a result, the others go on
                    missing[name] = f"{workload.name}, round {number + 1}: {why(error)}"
            steps.done(len(plan.users) - done)
    return missing
