"""The verdict of a failed call on its dependency."""

import asyncio

import pytest

from agents.errors import (
    BadOutputError,
    OpenBreakerError,
    PermanentError,
    ThrottledError,
    TimedOutError,
    TransientError,
    UnfitOutputError,
)
from agents.resilience.verdict import CallVerdict, judge_failure

BUSY = ThrottledError("model", "", status=503, retry_after_s=5.0)


@pytest.mark.parametrize(
    ("failure", "late", "outcome", "verdict"),
    [
        (TransientError("model", ""), False, TransientError.reason, CallVerdict.FAILED),
        (TimedOutError("model", ""), True, TimedOutError.reason, CallVerdict.FAILED),
        (BadOutputError("model", ""), False, BadOutputError.reason, CallVerdict.FAILED),
        (UnfitOutputError("model", ""), False, UnfitOutputError.reason, CallVerdict.NOTHING),
        (OpenBreakerError("model", ""), False, OpenBreakerError.reason, CallVerdict.NOTHING),
        (PermanentError("model", "", status=400), False, PermanentError.reason, CallVerdict.WELL),
        (PermanentError("model", ""), False, PermanentError.reason, CallVerdict.NOTHING),
        (ThrottledError("model", "", status=503), False, ThrottledError.reason, CallVerdict.TURNED_AWAY),
        (
            ThrottledError("model", "", status=503, retry_after_s=5.0),
            False,
            ThrottledError.reason,
            CallVerdict.NOTHING,
        ),
        (asyncio.CancelledError(), True, TimedOutError.reason, CallVerdict.FAILED),
        (asyncio.CancelledError(), False, "cancelled", CallVerdict.NOTHING),
        (KeyError("x"), False, "defect", CallVerdict.FAILED),
        (KeyError("x"), True, "defect", CallVerdict.FAILED),
    ],
)
def test_outcome_and_verdict_of_each_failure(
    failure: BaseException, late: bool, outcome: str, verdict: CallVerdict
) -> None:
    assert judge_failure(failure, late=late) == (outcome, verdict)
