"""`python -m tests.acceptance.oracle.chaos`: the scenarios, one by one; exit code 1 on a violation."""

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streams.local.broker import LocalBroker
from tests.acceptance.oracle.catalogue import CI, FULL, SCENARIOS
from tests.acceptance.oracle.checker import Violation, check
from tests.acceptance.oracle.world import Size, open_world
from tests.support.kafka import QuickBroker
from tests.support.stalls import Stalls, watch_stalls
from tests.support.system import free_port

STOOD_STILL_S = 0.1
"""A stall of the machine that is long enough to break expected times."""
OWN_BROKER = {3}
"""Scenarios that damage the broker for other tests."""


@dataclass
class Report:
    """One run of one scenario."""

    name: str
    seed: int
    seconds: float
    violations: list[Violation]
    figures: dict[str, Any]
    stalls: Stalls

    @property
    def is_doubtful(self) -> bool:
        """Whether only expected times were missed, on a machine that stood still, and no invariant broken."""
        return self.stalls.longest_s >= STOOD_STILL_S and {one.invariant for one in self.violations} == {
            "besides"
        }

    def __str__(self) -> str:
        figures = " ".join(f"{name}={value}" for name, value in self.figures.items())
        figures += f" longest_stall_s={self.stalls.longest_s:.2f}"
        lines = [f"{self.name}: seed {self.seed}, {self.seconds:.0f} s, {figures}"]
        counts = Counter(violation.invariant for violation in self.violations)
        lines += [f"  {invariant}: {count} violations" for invariant, count in counts.items()]
        lines += [f"    {violation}" for violation in self.violations[:20]]
        return "\n".join(lines)


async def run(number: int, size: Size, seed: int, folder: Path, bootstrap: str | None = None) -> Report:
    """Run a scenario, on a broker of its own if none is given or the scenario damages it."""
    if bootstrap is None or number in OWN_BROKER:
        async with QuickBroker(free_port()) as broker:
            return await _run(number, size, seed, folder, broker.bootstrap_servers, broker)
    return await _run(number, size, seed, folder, bootstrap, None)


async def _run(
    number: int, size: Size, seed: int, folder: Path, bootstrap: str, broker: LocalBroker | None
) -> Report:
    scenario = SCENARIOS[number]
    began = time.monotonic()
    with watch_stalls() as stalls:
        async with open_world(bootstrap, folder, size, seed) as world:
            result = await scenario(world, broker)
    ledgers = result.ledgers
    more = len(ledgers.outcomes) - len({one.source for one in ledgers.outcomes})
    drain = None if ledgers.drained_at is None else round(ledgers.drained_at - ledgers.healed_at, 1)
    figures = {
        "questions": len(ledgers.produced),
        "outcomes": len(ledgers.outcomes),
        "duplicates": f"{more}/{ledgers.bounds.duplicates}",
        "model_calls": len(ledgers.model_calls),
        "commits": len(ledgers.commits),
        "drain_s": drain,
    }
    name = f"scenario {number} ({scenario.__name__.replace('_', ' ')})"
    violations = check(ledgers) + result.besides
    return Report(name, seed, time.monotonic() - began, violations, figures | result.figures, stalls)


def main() -> int:
    """Print a report for each scenario, and the seed that repeats it."""
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.oracle.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="repeat a run; default: a new one")
    parser.add_argument("--scenario", type=int, choices=sorted(SCENARIOS), action="append")
    parser.add_argument("--full", action="store_true", help="at full size (most of an hour), not that of CI")
    parser.add_argument("--mutant", default="", help="run a worker with this defect: it must be caught")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if arguments.seed is None else arguments.seed
    # It writes two lines for every attempt to reach a broker that is away.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    print(f"seed {seed}", flush=True)
    found = 0
    for number in arguments.scenario or sorted(SCENARIOS):
        size = replace((FULL if arguments.full else CI)[number], mutant=arguments.mutant)
        folder = Path(tempfile.mkdtemp(prefix="kotae-chaos-"))
        report = asyncio.run(run(number, size, seed, folder))
        print(report, flush=True)
        if report.violations:
            found += 1
            print(f"  logs: {folder}", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
