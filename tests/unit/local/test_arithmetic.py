"""Arithmetic as people write it."""

import contextlib
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.local.arithmetic import ArithmeticProblem, evaluate, show


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("1 + 2 * 3", "= 7"),
        ("(1 + 2) * 3 =", "= 9"),
        ("0.1 + 0.2", "= 0.3"),
        ("10 / 3", "≈ 3.33333333333"),
        ("1/3*3", "= 1"),
        ("17.5% of 2,480", "= 434"),
        ("2480 × 17.5%", "= 434"),
        ("２４８０×１７．５％", "= 434"),
        ("百分之17.5的2480", "= 434"),
        ("12 ÷ 4 − 1", "= 2"),
        ("3加4乘以2", "= 11"),
        ("100除以8", "= 12.5"),
        ("2的10次方", "= 1024"),
        ("7 plus 3 times 2", "= 13"),
        ("10 % 3", "= 1"),
        ("10 % (1 + 2)", "= 1"),
        ("50%", "= 0.5"),
        ("100 + 10%", "= 100.1"),
        ("7 // 2", "= 3"),
        ("-7 // 2", "= -4"),
        ("-(-5)", "= 5"),
        ("+5", "= 5"),
        ("2 ^ 10", "= 1024"),
        ("2 ** -3", "= 0.125"),
        ("-2 ** 2", "= -4"),
        ("2 ** 0.5", "≈ 1.41421356237"),
        ("9 ** 0.5", "= 3"),
        ("007 + 1", "= 8"),
        ("1.005 * 100", "= 100.5"),
        ("1,234,567 * 2", "= 2469134"),
        ("2 ** 100", "= 1267650600228229401496703205376"),
        ("2 ** 1000", "≈ 1.07150860719e+301"),
        ("1 / 10 ** 30", "= 1.00000000000e-30"),
        ("0 / 5", "= 0"),
        ("(-1) ** 1000000001", "= -1"),
        ("0 ** 0", "= 1"),
    ],
)
def test_expressions_have_their_values(expression: str, told: str) -> None:
    assert show(evaluate(expression)) == told


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("", "not a complete"),
        ("1 +", "not a complete"),
        ("((((", "not a complete"),
        ("5(3)", "not a complete"),
        ("1..2", "not a complete"),
        ("1, 2", "','"),
        ("__import__('os').system('true')", "is not arithmetic"),
        ("lambda: 0", "is not arithmetic"),
        ("1e999999999", "'e' is not arithmetic"),
        ("0x10", "'x' is not arithmetic"),
        ("1_000", "'_' is not arithmetic"),
        ("1 if 2 else 3", "is not arithmetic"),
        ("5!", "'!' is not arithmetic"),
        ("1 / 0", "division by zero"),
        ("1 % (2 - 2)", "division by zero"),
        ("0 ** -1", "division by zero"),
        ("(-8) ** (1/3)", "negative"),
        ("9 ** 9 ** 9", "too large"),
        ("9 ** 9 ** 0.5 ** -9", "too large"),
        ("0.1 ** 99999999", "too large"),
        ("10 ** 400 ** 0.5 * 10 ** 1200 * 10 ** 1200", "too large"),
        ("(10 ** 400) ** 0.5", "too large"),
        ("1" * 201, "longer than 200"),
    ],
)
def test_wrong_expressions_raise_a_clear_problem(expression: str, problem: str) -> None:
    with pytest.raises(ArithmeticProblem, match=problem) as refused:
        evaluate(expression)
    assert len(str(refused.value)) < 300


@given(st.text(alphabet="0123456789.+-*/%()^ ,×÷％", max_size=200))
def test_any_text_ends_soon_in_a_value_or_a_problem(expression: str) -> None:
    began = time.process_time()
    with contextlib.suppress(ArithmeticProblem):
        show(evaluate(expression))
    assert time.process_time() - began < 0.5


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**9), st.sampled_from("+-*/"))
def test_values_agree_with_exact_arithmetic(left: int, right: int, sign: str) -> None:
    expected = {
        "+": Fraction(left + right),
        "-": Fraction(left - right),
        "*": Fraction(left * right),
        "/": Fraction(left, right),
    }[sign]
    assert evaluate(f"{left} {sign} {right}") == expected
