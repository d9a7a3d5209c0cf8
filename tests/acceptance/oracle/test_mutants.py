"""A worker with one defect is caught by the invariant that it breaks."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.oracle.catalogue import CI
from tests.acceptance.oracle.chaos import run
from tests.acceptance.oracle.mutants.defects import DEFECTS

SEEDS = range(1, 9)
"""Seeds to try: in some scenarios the harm strikes by chance, and has to show with one of these."""
CAUGHT = {
    "commit-before-answer": (0, "I2"),
    "order-broken": (0, "I4"),
    "dropped-dead-letter-ack": (14, "I1"),
    "ignored-epoch": (2, "I3"),
    "forgotten-recovery-scan": (1, "I5"),
    "journal-ignored": (16, "I9"),
    "results-forgotten": (19, "I9"),
    "slept-through-expulsion": (2, "I5"),
    "cancels-not-scanned": (20, "I10"),
}
"""The scenario that shows each defect, and the invariant that it breaks."""


def test_every_defect_has_a_scenario() -> None:
    assert set(CAUGHT) == set(DEFECTS)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("defect", CAUGHT)
async def test_a_broken_worker_turns_the_oracle_red(
    defect: str, kafka_bootstrap: str, tmp_path: Path
) -> None:
    number, invariant = CAUGHT[defect]
    # A kill of the only worker surely hits one with something to forget.
    workers = 1 if number in {1, 16, 20} else CI[number].workers
    size = replace(CI[number], workers=workers, mutant=defect, drain_s=20)
    if defect == "slept-through-expulsion":
        # Its late replies delay the others too, and they have to have answered before it wakes up.
        size = replace(size, outage_s=18)
    if defect == "ignored-epoch":
        # It has to be asked on when it is back in its group, or it has nothing to commit.
        size = replace(size, interval_s=12)
    reports = []
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        folder.mkdir()
        report = await run(number, size, seed, folder, kafka_bootstrap)
        if invariant in {violation.invariant for violation in report.violations}:
            return
        reports.append(report)
    pytest.fail(f"{invariant} held: {reports}")
