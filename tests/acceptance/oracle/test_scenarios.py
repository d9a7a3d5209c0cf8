"""Every scenario at the size of CI, on real worker processes: no invariant is broken."""

import shutil
from pathlib import Path

import pytest

from tests.acceptance.oracle.catalogue import CI, SCENARIOS
from tests.acceptance.oracle.chaos import run

SEED = 20
"""The seed of every run here; `make chaos` takes a new one every time."""
NEEDS_REDIS = {8, 13}
ATTEMPTS = 3
"""The most attempts: a defect shows in each of them, a machine that stood still hardly ever does."""
MEASURES = {1, 4, 5, 12, 13, 15, 16, 17, 18}
"""Scenarios that compare times: beside other tests they would measure the machine."""


def _marks(number: int) -> list[pytest.MarkDecorator]:
    return [pytest.mark.alone] if number in MEASURES else []


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "number",
    [
        pytest.param(number, id=f"{number}-{scenario.__name__}", marks=_marks(number))
        for number, scenario in SCENARIOS.items()
    ],
)
async def test_no_invariant_is_broken(number: int, kafka_bootstrap: str, tmp_path: Path) -> None:
    if number in NEEDS_REDIS and shutil.which("redis-server") is None:
        pytest.skip("no Redis: there is no redis-server (Debian: apt-get install redis-server)")
    for attempt in range(ATTEMPTS):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        report = await run(number, CI[number], SEED, folder, kafka_bootstrap)
        if not report.is_doubtful:
            break
    assert not report.violations, report
