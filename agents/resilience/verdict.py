"""The verdict on a dependency from the end of one call. Pure.

An end that one question alone can cause (a refusal, an answer without a text) does not count against the
dependency: otherwise such questions could open its breaker for everybody.
"""

import asyncio
from enum import Enum, auto

from agents.errors import (
    DependencyError,
    OpenBreakerError,
    PermanentError,
    ThrottledError,
    TimedOutError,
    UnfitOutputError,
)


class CallVerdict(Enum):
    """The method of the breaker that learns of the call: `succeeded`, `failed`, `turned_away` or `left`."""

    WELL = auto()
    FAILED = auto()
    TURNED_AWAY = auto()
    NOTHING = auto()


def judge_failure(failure: BaseException, *, late: bool) -> tuple[str, CallVerdict]:
    """Return the name of a failed call's outcome, and the verdict on its dependency.

    Args:
        late: whether the call's deadline had passed.
    """
    match failure:
        case ThrottledError():
            return failure.reason, CallVerdict.TURNED_AWAY if failure.may_be_down else CallVerdict.NOTHING
        case OpenBreakerError() | UnfitOutputError():
            return failure.reason, CallVerdict.NOTHING
        case PermanentError():
            # A server that sent a status works. Without a status, perhaps nothing was sent.
            return failure.reason, CallVerdict.NOTHING if failure.status is None else CallVerdict.WELL
        case DependencyError():
            return failure.reason, CallVerdict.FAILED
        case asyncio.CancelledError():
            return (TimedOutError.reason, CallVerdict.FAILED) if late else ("cancelled", CallVerdict.NOTHING)
    return "defect", CallVerdict.FAILED
