"""The text of an answer that is made of evidence: sentences, a row's cells, a list or code. Pure."""

import re
from collections.abc import Sequence

from agents.citing.marks import drop_references
from agents.documents.units import Unit, shown_line, shown_text
from agents.language.keys import term_keys
from agents.models.asking import Asked

_BARE = re.compile(r"[\d\s.,:%–-]+")
_MARK = re.compile(r"\A(?:[-*+•]|\d{1,3}[.)])\s+")


def tell(unit: Unit, asked: Asked) -> str:
    """Return a unit as an answer says it."""
    match unit.kind:
        case "row":
            return _row(unit, asked)
        case "list":
            return _list(unit)
        case "code":
            return (
                f"`{unit.text}`"
                if "\n" not in unit.text and "`" not in unit.text
                else f"```\n{unit.text}\n```"
            )
        case _:
            return drop_references(shown_text(unit))


def shortened(text: str, limit: int) -> str:
    """Return a text of at most `limit` characters, cut at a blank if it has one near the end."""
    if len(text) <= limit:
        return text
    cut = text[: limit - 2]
    blank = cut.rfind(" ", len(cut) * 3 // 4)
    return f"{cut[:blank] if blank > 0 else cut} …"


def _list(unit: Unit) -> str:
    items = [shown_line(item).rstrip(",;，；、") for item in unit.cells]
    lead = f"{shown_line(unit.header[0])} " if unit.header else ""
    return f"{lead}{'; '.join(items)}"


def _row(unit: Unit, asked: Asked) -> str:
    """Return the asked cells of a row with its first one, "Team: €89"; every cell if none is asked for."""
    label, *cells = unit.cells
    names = unit.header[1:] if len(unit.header) == len(unit.cells) else ("",) * len(cells)
    told = _asked_columns(names, cells, label, asked)
    if len(told) == 1:
        name, cell = names[told[0]], cells[told[0]]
        if len(cells) > 1 or _BARE.fullmatch(cell):
            label = f"{label}, {name}" if name and label else label or name
        return f"{label}: {cell}" if label else cell
    parts = [f"{names[at]} {cells[at]}".strip() for at in told if cells[at]]
    return f"{label}: {', '.join(parts)}" if label else ", ".join(parts)


def _asked_columns(names: Sequence[str], cells: Sequence[str], label: str, asked: Asked) -> list[int]:
    said = term_keys(label)
    shares = []
    for name in names:
        found = (asked.weights.keys() & term_keys(name)) - said
        shares.append(sum(asked.weights[key] for key in found))
    most = max(shares, default=0.0)
    if most <= 0.5:
        return list(range(len(cells)))
    return [at for at, share in enumerate(shares) if share == most]
