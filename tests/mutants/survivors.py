"""The survivors that are accepted, each with its reason, and the verdict on a run. Pure.

mutmut names a mutant by a number that changes with the code above it; here one is known by its function and
the lines that it changes.
"""

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

SCORE_MIN = 90.0
"""Percent of the mutants that tests must notice."""

NOTICED = frozenset({"killed", "timeout", "segfault", "caught by type check"})
"""The states of mutmut's in which a test has noticed; one that never ends is noticed too."""


@dataclass(frozen=True, order=True)
class Mutant:
    """One small change: lines without indentation, several joined by a space."""

    function: str
    was: str
    became: str

    def __str__(self) -> str:
        return f"{self.function}\n    - {self.was}\n    + {self.became}"


@dataclass(frozen=True)
class Verdict:
    """What a run comes to; it passes where `problems` is empty."""

    score: float
    problems: Sequence[str] = field(default_factory=tuple)


def changed(name: str, diff: str) -> Mutant:
    """Return the mutant that mutmut calls `name`, from its unified diff."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    was, became = (
        " ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in ("-", "+")
    )
    return Mutant(function_of(name), was, became)


def function_of(name: str) -> str:
    """Return the function of the mutant that mutmut calls `name`."""
    module, _, mangled = name.rpartition(".")
    # `x_name` of a function, `xǁClassǁname` of a method; the number comes after the last `__mutmut_`.
    plain = mangled.rpartition("__mutmut_")[0].removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
    return f"{module}.{plain}"


def read_accepted(text: str) -> dict[Mutant, str]:
    """Return the accepted survivors and their reasons.

    Raises:
        ValueError: a reason is empty, or a mutant is listed twice.
    """
    accepted: dict[Mutant, str] = {}
    for entry in tomllib.loads(text).get("survivor", []):
        mutant = Mutant(entry["function"], entry["was"], entry["became"])
        if not entry["reason"].strip():
            raise ValueError(f"no reason is given for {mutant}")
        if mutant in accepted:
            raise ValueError(f"listed twice: {mutant}")
        accepted[mutant] = entry["reason"]
    return accepted


def judge(states: Mapping[str, int], survivors: Sequence[Mutant], accepted: Collection[Mutant]) -> Verdict:
    """Return the score and the problems: it is too low, a survivor is not listed, a listed one is gone.

    Args:
        states: how many mutants ended in each of mutmut's states.
        survivors: all that no test noticed.
    """
    total = sum(states.values())
    score = 100 * sum(states.get(state, 0) for state in NOTICED) / total if total else 0.0
    problems = [] if score >= SCORE_MIN else [f"the score is below {SCORE_MIN} %"]
    found = set(survivors)
    unlisted, gone = found.difference(accepted), set(accepted).difference(found)
    problems += [f"survives, and is not listed: {mutant}" for mutant in sorted(unlisted)]
    problems += [f"listed, but no longer survives: {mutant}" for mutant in sorted(gone)]
    return Verdict(score, problems)
