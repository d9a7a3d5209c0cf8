"""Fixtures for every tier, and the summary of skipped tests."""

import asyncio
import os
from collections import Counter
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

pytest_plugins = [
    "tests.support.kafka",
    "tests.support.loop_guard",
    "tests.support.redis",
    "tests.support.secured_kafka",
]

# The time of an example only measures the machine.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# For `make mutants`: each mutant meets the same examples, and few of them, because there are thousands.
settings.register_profile(
    "mutants", settings.get_profile("any machine"), derandomize=True, max_examples=25, database=None
)
settings.load_profile("any machine")

REQUIRE_ALL = os.environ.get("KOTAE_TEST_REQUIRE_ALL") == "1"


def pytest_configure() -> None:
    """Set no event loop: looptime asks for one before the first test, even a synchronous one, and would
    leave it unclosed."""
    asyncio.set_event_loop(None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the examples before the properties for `make mutants`: most mutants end with the first failure."""
    if "MUTANT_UNDER_TEST" in os.environ:
        items.sort(key=_is_property)


def _is_property(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function):
        return False
    return is_hypothesis_test(item.obj) or hasattr(item.cls, "settings")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Count a skipped test as failed if every part is required."""
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, though KOTAE_TEST_REQUIRE_ALL=1: {_reason(report)}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many tests were skipped for each reason."""
    reasons = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
    if reasons:
        terminalreporter.section("skipped")
        for reason, count in reasons.most_common():
            terminalreporter.line(f"{count} test{'s' if count > 1 else ''}: {reason}")


def _reason(report: pytest.TestReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")
