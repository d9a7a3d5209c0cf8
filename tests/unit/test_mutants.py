"""The verdict on a run of the mutation tester."""

from pathlib import Path

import pytest

from tests.mutants.survivors import Mutant, changed, judge, read_accepted

LISTED = Path(__file__).parents[1] / "mutants" / "survivors.toml"
DIFF = """--- agents/citations.py
+++ agents/citations.py
@@ -1,3 +1,3 @@
 def kept(found):
-    if found is None:
-        return 1
+    if found is not None: return 1
     return 2"""
MUTANT = Mutant("agents.citations.kept", "if found is None: return 1", "if found is not None: return 1")


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("agents.citations.x_kept__mutmut_12", "agents.citations.kept"),
        ("agents.citations.x__kept__mutmut_1", "agents.citations._kept"),
        ("agents.cache.keys.xǁAnswerKeysǁkey__mutmut_3", "agents.cache.keys.AnswerKeys.key"),
    ],
)
def test_a_mutant_is_known_by_its_function_and_its_lines(name: str, function: str) -> None:
    assert changed(name, DIFF) == Mutant(function, MUTANT.was, MUTANT.became)


def test_listed_survivors_at_a_good_score_are_no_problem() -> None:
    verdict = judge({"killed": 90, "timeout": 9, "survived": 1}, [MUTANT], {MUTANT})
    assert (verdict.score, verdict.problems) == (99.0, [])


@pytest.mark.parametrize(
    ("states", "survivors", "accepted", "says"),
    [
        (
            {"killed": 99, "survived": 1},
            [MUTANT],
            set(),
            "survives, and is not listed: agents.citations.kept",
        ),
        (
            {"killed": 99, "survived": 1},
            [],
            {MUTANT},
            "listed, but no longer survives: agents.citations.kept",
        ),
        ({"killed": 89, "survived": 11}, [MUTANT], {MUTANT}, "below 90"),
        ({"killed": 89, "no tests": 11}, [MUTANT], {MUTANT}, "below 90"),
        ({}, [], set(), "below 90"),
    ],
)
def test_anything_else_is_said(
    states: dict[str, int], survivors: list[Mutant], accepted: set[Mutant], says: str
) -> None:
    (problem,) = judge(states, survivors, accepted).problems
    assert says in problem


def test_a_listed_survivor_needs_a_reason_and_one_entry() -> None:
    entry = '[[survivor]]\nfunction = "f"\nwas = "a"\nbecame = "b"\nreason = "{}"\n'
    assert read_accepted(entry.format("equivalent")) == {Mutant("f", "a", "b"): "equivalent"}
    with pytest.raises(ValueError, match="no reason"):
        read_accepted(entry.format(" "))
    with pytest.raises(ValueError, match="listed twice"):
        read_accepted(entry.format("x") * 2)


def test_the_list_can_be_read() -> None:
    read_accepted(LISTED.read_text())
