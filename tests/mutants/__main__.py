"""Run the mutation tester, print its score, and compare the survivors with those that are accepted.

python -m tests.mutants             all modules that pyproject.toml names
python -m tests.mutants NAME…       only those that match, such as "agents.citing.*"; judges nothing
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code

from tests.mutants.survivors import NOTICED, Mutant, changed, function_of, judge, read_accepted

LISTED = Path(__file__).with_name("survivors.toml")


def main() -> int:
    """Return 0 where every survivor is listed and the score is reached."""
    wanted = sys.argv[1:]
    if not wanted:
        # mutmut would let an earlier result stand though the tests have changed since.
        shutil.rmtree("mutants", ignore_errors=True)
    if code := _run(wanted):
        return code
    states, survivors, noticed = _results(read_accepted(LISTED.read_text()))
    if wanted:
        print(*sorted(survivors), sep="\n")
        return 0
    if noticed:
        # On a busy machine a test may fail because it is late: it must notice a listed mutant twice.
        if code := _run(noticed):
            return code
        states, survivors, _ = _results({})
    verdict = judge(states, survivors, read_accepted(LISTED.read_text()))
    print(*verdict.problems, sep="\n")
    print(f"{verdict.score:.1f} % of {states.total()} mutants are noticed; {len(survivors)} survive")
    return 1 if verdict.problems else 0


def _run(names: Sequence[str]) -> int:
    """Run mutmut on these mutants, by default on all; return its exit code."""
    processes = os.environ.get("MUTATORS", str(os.cpu_count() or 1))
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", processes, *names]
    return subprocess.run(command, check=False).returncode


def _results(listed: Collection[Mutant]) -> tuple[Counter[str], list[Mutant], list[str]]:
    """Return the numbers of mutants by state, the survivors, and names of listed ones that were noticed."""
    configuration = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["mutmut"]
    functions = {mutant.function for mutant in listed}
    states: Counter[str] = Counter()
    survivors: list[Mutant] = []
    noticed: list[str] = []
    for module in configuration["only_mutate"]:
        codes = json.loads(Path("mutants", f"{module}.meta").read_text())["exit_code_by_key"]
        ended = {name: status_by_exit_code[code] for name, code in codes.items() if code is not None}
        states.update(ended.values())
        alive = 0
        for name, state in ended.items():
            if state not in NOTICED:
                alive += 1
                survivors.append(changed(name, get_diff_for_mutant(name, path=module)))
            elif function_of(name) in functions and (
                changed(name, get_diff_for_mutant(name, path=module)) in listed
            ):
                noticed.append(name)
        print(f"{module:50} {len(ended) - alive:5} of {len(codes):5}")
    return states, survivors, noticed


if __name__ == "__main__":
    sys.exit(main())
