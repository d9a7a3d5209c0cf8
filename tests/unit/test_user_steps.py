"""The steps of the load, and the table at its end."""

from datetime import UTC, datetime

import pytest

from schemas.answer import Answer, AnswerError, Source
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka
from tests.benchmarks import user_steps
from tests.benchmarks.librdkafka import failure, options
from tests.benchmarks.user_steps import Step, Windows


def test_each_number_of_users_has_its_time_and_then_the_run_ends() -> None:
    steps = user_steps.parse("50,100,200")
    assert [user_steps.due(steps, 60, at) for at in (0, 59.9, 60, 179.9, 180)] == [50, 50, 100, 200, 0]


@pytest.mark.parametrize("text", ["", "50,", "50,x", "0", "-5", "50,50", "50 100"])
def test_steps_that_are_not_a_list_of_numbers_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 50,100,200"):
        user_steps.parse(text)


@pytest.mark.parametrize("step_s", [0, -1])
def test_a_step_without_time_is_refused(step_s: float) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        user_steps.due((50,), step_s, 1)


def test_a_step_is_measured_from_when_all_its_users_ask_until_it_changes() -> None:
    windows = Windows()
    windows.close(0.0)  # users are being added
    windows.open(50, 1.0)
    windows.close(11.0)
    windows.open(100, 13.0)
    windows.close(20.0)
    windows.close(25.0)
    assert windows.seconds == {50: 10.0, 100: 7.0}


def test_a_new_run_starts_without_the_figures_of_the_last() -> None:
    windows = Windows()
    windows.open(50, 1.0)
    windows.close(2.0)
    windows.open(100, 3.0)
    windows.clear()
    windows.close(9.0)
    assert windows.seconds == {}


def test_the_table_has_rates_over_the_time_of_each_number_beside_the_articles() -> None:
    measured = {500: Step(8000, 80, 562.4, 710), 50: Step(1400, 0, 344.6, 370), 70: Step(10, 0, 1, 1)}
    _, *rows = user_steps.table(measured, {50: 10.0, 500: 9.0, 70: 10.0}, "320").splitlines()
    assert [" ".join(row.split()) for row in rows[:3]] == [
        "50 345 370 140 100.0% 320 ms, 480 ms, 156/s, 100.0%",
        "70 1 1 1 100.0% -",
        "500 562 710 889 99.0% 720 ms, 1250 ms, 690/s, 95.1%",
    ]


def test_the_table_says_whether_the_services_were_as_slow_as_the_articles() -> None:
    measured, seconds = {50: Step(1, 0, 1, 1)}, {50: 1.0}
    assert "simulated: 320 ms" in user_steps.table(measured, seconds, "320")
    assert "SIMULATED=1" in user_steps.table(measured, seconds, "")


def test_a_failed_or_degraded_answer_counts_as_a_failure_with_its_reason() -> None:
    def answer(**more: object) -> Answer:
        basis = {"id": "q", "question_id": "q", "conversation_id": "c", "tenant": "t"}
        return Answer(**basis, source=Source("questions", 0, 0), created_at=datetime.now(UTC), **more)

    assert failure(answer(status="answered")) == ""
    assert failure(answer(status="degraded", degraded=["tools_timeout", "x"])) == "degraded: tools_timeout, x"
    failed = answer(status="failed", error=AnswerError(code="overloaded", stage="generate", message="no"))
    assert failure(failed) == "failed: overloaded"


def test_without_a_login_no_login_option_is_set() -> None:
    assert options(Kafka(ssl_cafile="unused.pem", sasl_password="unused")) == {
        "bootstrap.servers": "127.0.0.1:9092",
        "security.protocol": "PLAINTEXT",
    }


def test_oauth_is_refused_instead_of_ignored() -> None:
    with pytest.raises(OperatorError, match="OAUTHBEARER"):
        options(Kafka(security_protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER"))
