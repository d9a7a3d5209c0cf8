"""Numbers of users one after another: the current one, its duration, and its measurements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.article import PUBLISHED


def parse(text: str) -> tuple[int, ...]:
    """The numbers of users in a list such as `50,100,200`.

    Raises:
        ValueError: the text is not such a list.
    """
    parts = text.split(",")
    if not all(part.isdecimal() and int(part) for part in parts) or len(set(parts)) < len(parts):
        raise ValueError(f"{text!r} is not a list of different numbers of users, such as 50,100,200")
    return tuple(map(int, parts))


def due(steps: Sequence[int], step_s: float, elapsed_s: float) -> int:
    """The users wanted at a time, in seconds after the start; 0 when all steps are over.

    Raises:
        ValueError: a step has no time.
    """
    if step_s <= 0:
        raise ValueError(f"a step of {step_s} s is none: it needs more than 0")
    step = int(elapsed_s / step_s)
    return steps[step] if step < len(steps) else 0


class Windows:
    """The seconds for which each number of users was complete."""

    def __init__(self) -> None:
        self.seconds: dict[int, float] = {}
        self._open: tuple[int, float] | None = None

    def clear(self) -> None:
        """Note the start of a run."""
        self.seconds.clear()
        self._open = None

    def open(self, users: int, now: float) -> None:
        """Note that all users ask from now on."""
        self.close(now)
        self._open = users, now

    def close(self, now: float) -> None:
        """Note that the number of users changes from now on, or that the run has ended."""
        if self._open:
            users, began = self._open
            self.seconds[users] = self.seconds.get(users, 0.0) + now - began
            self._open = None


@dataclass(frozen=True, slots=True)
class Step:
    """The measurements with one number of users; times in milliseconds."""

    ended: int
    failed: int
    mean_ms: float
    p95_ms: float


def table(measured: Mapping[int, Step], seconds: Mapping[int, float], services_ms: str) -> str:
    """The measurements beside the article's table; `services_ms` as in `origin`."""
    lines = [" users  mean ms   p95 ms  questions/s  success   the article, on 4 cores"]
    for users, step in sorted(measured.items()):
        theirs = PUBLISHED.get(users)
        lines.append(
            f"{users:>6} {step.mean_ms:>8.0f} {step.p95_ms:>8.0f} {step.ended / seconds[users]:>12.0f} "
            f"{1 - step.failed / step.ended:>8.1%}   "
            + (
                f"{theirs.mean_ms:.0f} ms, {theirs.p95_ms:.0f} ms, {theirs.rate:.0f}/s, {theirs.success:.1%}"
                if theirs
                else "-"
            )
        )
    return "\n".join([*lines, origin(services_ms)])


def origin(services_ms: str) -> str:
    """The origin of the figures, which decides whether they compare with the article's.

    `services_ms`: the time of simulated services for a question that waits for nothing; empty: they are real.
    """
    if services_ms:
        return (
            f"Model and tools are simulated: {services_ms} ms a question where nothing waits, which is the "
            "article's mean at 50 users;\nwhat its own took is not published."
        )
    return (
        "These hold what your model and tools take, the article's what its own took: compare nothing but the "
        "form.\nmake bench-locust SIMULATED=1 puts Kotae on simulated ones as slow as the article's."
    )
