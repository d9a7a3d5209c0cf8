"""What the end of a call says of its dependency. Pure.

What one question can bring about by itself (a refusal, an answer without a text) says nothing against the
dependency, or whoever asks such questions could open its breaker for everybody.
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
    """For its breaker."""

    WELL = auto()
    FAILED = auto()
    TURNED_AWAY = auto()
    NOTHING = auto()


def judge_failure(failure: BaseException, *, late: bool) -> tuple[str, CallVerdict]:
    """The name of the outcome of a call that failed, and what it says.

    Args:
        late: whether the call's time was over.
    """
    match failure:
        case ThrottledError():
            return failure.reason, CallVerdict.TURNED_AWAY if failure.may_be_down else CallVerdict.NOTHING
        case OpenBreakerError() | UnfitOutputError():
            return failure.reason, CallVerdict.NOTHING
        case PermanentError():
            # An answer with a status comes from something that works; without, nothing may have been sent.
            return failure.reason, CallVerdict.NOTHING if failure.status is None else CallVerdict.WELL
        case DependencyError():
            return failure.reason, CallVerdict.FAILED
        case asyncio.CancelledError():
            return (TimedOutError.reason, CallVerdict.FAILED) if late else ("cancelled", CallVerdict.NOTHING)
    return "defect", CallVerdict.FAILED
