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
from pathlib import Path

from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code

from tests.mutants.survivors import NOTICED, Mutant, changed, judge, read_accepted

LISTED = Path(__file__).with_name("survivors.toml")


def main() -> int:
    """Return 0 where every survivor is listed and the score is reached."""
    wanted = sys.argv[1:]
    if not wanted:
        # mutmut would let an earlier result stand though the tests have changed since.
        shutil.rmtree("mutants", ignore_errors=True)
    processes = os.environ.get("MUTATORS", str(os.cpu_count() or 1))
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", processes, *wanted]
    ran = subprocess.run(command, check=False)
    if ran.returncode != 0:
        return ran.returncode
    configuration = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["mutmut"]
    states: Counter[str] = Counter()
    survivors: list[Mutant] = []
    for module in configuration["only_mutate"]:
        codes = json.loads(Path("mutants", f"{module}.meta").read_text())["exit_code_by_key"]
        ended = {name: status_by_exit_code[code] for name, code in codes.items() if code is not None}
        alive = [name for name, state in ended.items() if state not in NOTICED]
        survivors += [changed(name, get_diff_for_mutant(name, path=module)) for name in alive]
        states.update(ended.values())
        print(f"{module:50} {len(ended) - len(alive):5} of {len(codes):5}")
    if wanted:
        print(*sorted(survivors), sep="\n")
        return 0
    verdict = judge(states, survivors, read_accepted(LISTED.read_text()))
    print(*verdict.problems, sep="\n")
    print(f"{verdict.score:.1f} % of {states.total()} mutants are noticed; {len(survivors)} survive")
    return 1 if verdict.problems else 0


if __name__ == "__main__":
    sys.exit(main())
