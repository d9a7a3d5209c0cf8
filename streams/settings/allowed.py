"""The values that settings may have, in words. Pure."""

from msgspec import inspect


def allowed_values(kind: inspect.Type) -> str:
    """Return the values that a setting of this type may have, in words."""
    words = "text"
    match kind:
        case inspect.LiteralType(values=values):
            words = f"one of {', '.join(map(str, values))}"
        case inspect.VarTupleType(item_type=item):
            words = f"a list, each item {allowed_values(item)}"
        case inspect.BoolType():
            words = "true or false"
        case inspect.IntType():
            words = f"a whole number{_bounds(kind)}"
        case inspect.FloatType():
            words = f"a number{_bounds(kind)}"
        case inspect.StrType():
            like = f" that matches {kind.pattern}" if kind.pattern else ""
            length = f" of {kind.min_length or 0} to {kind.max_length} characters" if kind.max_length else ""
            words = f"text{length}{like}"
    return words


def _bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    bounds = [
        f"{word} {limit:g}"
        for word, limit in (("of at least", kind.ge), ("above", kind.gt), ("of at most", kind.le))
        if limit is not None
    ]
    return f" {' and '.join(bounds)}" if bounds else ""
