"""Failing dependencies are told to the operator: one warning a minute, and the last error in `/state`."""

import logging

import pytest

from agents.errors import DependencyError, PermanentError, TransientError
from streams.settings.secrets import masker
from streams.telemetry.troubles import AGAIN_S, KINDS_MAX, MESSAGE_MAX, Troubles

REFUSED = PermanentError("model", "HTTP 401: wrong key", status=401)


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def remedy(dependency: str, error: DependencyError) -> str:
    return f"check the key of {dependency}"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def troubles(clock: Clock) -> Troubles:
    return Troubles(remedy, mask=masker(["sk-secret"]), clock=clock)


def test_a_refusal_is_one_warning_with_name_status_message_and_setting(
    troubles: Troubles, caplog: pytest.LogCaptureFixture
) -> None:
    troubles.attempt_failed("model", REFUSED)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "a call to model failed: HTTP 401: wrong key; check the key of model"
    assert (vars(record)["dependency"], vars(record)["status"]) == ("model", 401)


def test_the_same_kind_is_told_again_after_a_minute_with_how_many_there_were(
    troubles: Troubles, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(30):
        troubles.attempt_failed("model", TransientError("model", f"HTTP 500: request {number}", status=500))
        clock.now += 1
    assert len(caplog.records) == 1
    clock.now += AGAIN_S
    troubles.attempt_failed("model", TransientError("model", "HTTP 500: request 30", status=500))
    assert caplog.messages[1] == (
        "a call to model failed: HTTP 500: request 30; check the key of model "
        "(29 more like it since this was last written)"
    )


def test_another_kind_or_dependency_is_told_at_once(
    troubles: Troubles, caplog: pytest.LogCaptureFixture
) -> None:
    troubles.attempt_failed("model", REFUSED)
    troubles.attempt_failed("model", PermanentError("model", "HTTP 404: no such model", status=404))
    troubles.attempt_failed("embeddings", REFUSED)
    assert len(caplog.records) == 3


def test_the_last_error_of_each_dependency_is_kept_with_its_age(troubles: Troubles, clock: Clock) -> None:
    troubles.attempt_failed("model", PermanentError("model", "HTTP 404", status=404))
    troubles.attempt_failed("model", REFUSED)
    clock.now += 2.5
    assert troubles.last_error("model") == {
        "at": "1970-01-12T13:46:40.000+00:00",
        "age_s": 2.5,
        "status": 401,
        "message": "HTTP 401: wrong key",
        "remedy": "check the key of model",
    }
    assert troubles.last_error("tools/weather") is None


def test_secrets_are_masked_and_messages_are_one_short_line(
    troubles: Troubles, caplog: pytest.LogCaptureFixture
) -> None:
    troubles.attempt_failed(
        "model", PermanentError("model", f"HTTP 401: wrong key\n sk-secret{'.' * 900}", status=401)
    )
    last = troubles.last_error("model")
    assert last is not None
    assert last["message"].startswith("HTTP 401: wrong key ***...")
    assert len(last["message"]) == MESSAGE_MAX
    assert "sk-secret" not in caplog.text


def test_the_memory_of_kinds_is_bounded(troubles: Troubles, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(KINDS_MAX + 10):
        troubles.attempt_failed(f"tools/{number}", REFUSED)
    assert len(caplog.records) == KINDS_MAX + 10
    troubles.attempt_failed("tools/0", REFUSED)
    assert len(caplog.records) == KINDS_MAX + 11, "forgotten, so told again"
