"""Evaluates arithmetic as people write it, exactly and within bounds. Pure."""

import ast
import operator
import re
import unicodedata
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction

LENGTH_MAX = 200
BITS_MAX = 4096
"""The largest numerator or denominator: some 1,200 digits, evaluated in well under a millisecond."""
_DIGITS_SHOWN = 12
_WHOLE_DIGITS_SHOWN = 40

_WRITTEN: list[tuple[str, str]] = [
    (r"百分之\s*(\d[\d,]*(?:\.\d+)?)", r"\1%"),
    (r"(?<=\d),(?=\d{3}(?!\d))", ""),
    (r"\bdivided by\b|除以|÷|∕", "/"),
    (r"的?\s*(\d+)\s*次方", r"**\1"),
    (r"\bto the power of\b|\^", "**"),
    (r"\bplus\b|加上?", "+"),
    (r"\bminus\b|减去?|−|–", "-"),
    (r"\btimes\b|\bmultiplied by\b|乘以?|×|·|⋅", "*"),
    (r"\bpercent\b|\bper cent\b", "%"),
    (r"%\s*(?:of\b|的)", "% *"),
    # A percent sign means the remainder only if a divisor follows.
    (r"%(?!\s*[\d.(])", "/100"),
    (r"(?<![\d.])0+(?=\d)", ""),
    (r"[=?\s]+$", ""),
]
_NOTATION = [(re.compile(pattern, re.IGNORECASE), plain) for pattern, plain in _WRITTEN]
_FOREIGN = re.compile(r"[^0-9.+\-*/%()\s]+")

_OPERATIONS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: lambda left, right: Fraction(left // right),
    ast.Mod: operator.mod,
}


class ArithmeticProblem(ValueError):  # noqa: N818 - the asker's mistake, in words for the asker
    """The expression cannot be evaluated; the message says why."""


def evaluate(expression: str) -> Fraction:
    """Return the exact value of an expression of + - * / // % ** and brackets.

    It may hold full-width characters, × ÷, thousands separators, percentages ("17.5% of 2,480") and the
    operators' words in English and Chinese. Only a root (a power that is not whole) is rounded, to the
    precision of a float.

    Raises:
        ArithmeticProblem: the text is not arithmetic, divides by zero, or exceeds the bounds.
    """
    if len(expression) > LENGTH_MAX:
        raise ArithmeticProblem(f"the expression is longer than {LENGTH_MAX} characters")
    plain = unicodedata.normalize("NFKC", expression)
    for pattern, replacement in _NOTATION:
        plain = pattern.sub(replacement, plain)
    foreign = _FOREIGN.search(plain)
    if foreign:
        raise ArithmeticProblem(f"{foreign.group()!r} is not arithmetic")
    try:
        tree = ast.parse(plain.strip(), mode="eval")
        return _value(tree.body, plain.strip())
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ArithmeticProblem("this is not a complete arithmetic expression") from error


def show(value: Fraction) -> str:
    """Write the value after its sign: "= 434", or "≈ 3.33333333333" if it is rounded."""
    with localcontext() as context:
        context.prec = _WHOLE_DIGITS_SHOWN if value.denominator == 1 else _DIGITS_SHOWN
        rounded = Decimal(value.numerator) / Decimal(value.denominator)
    sign = "=" if Fraction(rounded) == value else "≈"
    small = Decimal("1e-6") <= abs(rounded) or not rounded
    if rounded.adjusted() < _WHOLE_DIGITS_SHOWN and small:
        text = f"{rounded:f}"
        return f"{sign} {text.rstrip('0').rstrip('.') if '.' in text else text}"
    return f"{sign} {rounded:.{_DIGITS_SHOWN - 1}e}"


def _value(node: ast.expr, source: str) -> Fraction:
    match node:
        case ast.Constant(value=int() | float()):
            # The text is read again, because the parser has rounded the number.
            return Fraction(ast.get_source_segment(source, node) or "0")
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, source)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand, source)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _bounded(_power(_value(left, source), _value(right, source)))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            try:
                return _bounded(_OPERATIONS[type(op)](_value(left, source), _value(right, source)))
            except ZeroDivisionError:
                raise ArithmeticProblem("a division by zero") from None
        case _:
            raise ArithmeticProblem("this is not a complete arithmetic expression")


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if base == 0 and exponent < 0:
        raise ArithmeticProblem("a division by zero")
    if exponent.denominator == 1:
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        # The size is known in advance, so that a value that is too large is never computed.
        if base not in {0, 1, -1} and bits * abs(exponent.numerator) > BITS_MAX * 2:
            raise ArithmeticProblem("the result is too large")
        return Fraction(base**exponent.numerator) if abs(base) != 1 else base ** (exponent.numerator % 2)
    if base < 0:
        raise ArithmeticProblem("a root of a negative number")
    try:
        return Fraction(float(base) ** float(exponent))
    except OverflowError:
        raise ArithmeticProblem("the result is too large") from None


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > BITS_MAX:
        raise ArithmeticProblem("the result is too large")
    return value
