"""The text of an answer that is made of evidence: sentences, a row's cells, a list or code. Pure."""

import re
from collections.abc import Sequence

from agents.citing.marks import drop_references
from agents.documents.units import Unit, shown_line, shown_text
from agents.models.asking import Asked
from agents.models.columns import asked_columns, given_columns, names_of

_BARE = re.compile(r"[\d\s.,:%–-]+")
_MARK = re.compile(r"\A(?:[-*+•]|\d{1,3}[.)])\s+")


def tell(unit: Unit, *asked: Asked, columns: Sequence[int] = ()) -> str:
    """Return a unit as an answer to some questions says it; of a row these `columns` in any case."""
    match unit.kind:
        case "row":
            return _row(unit, asked, columns)
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


def _row(unit: Unit, asked: Sequence[Asked], columns: Sequence[int]) -> str:
    """Return the asked cells of a row with its first one, "Team: €89"; every cell if none is asked for."""
    names = names_of(unit)
    label = unit.cells[0]
    told = sorted({*columns, *(at for each in asked for at in asked_columns(unit, each))})
    if told:
        # A row that was chosen by another cell than its first one says so.
        given = sorted({at for each in asked for at in given_columns(unit, each)} - set(told))
        label = ", ".join(dict.fromkeys([label, *(unit.cells[at] for at in given)]))
    else:
        told = list(range(1, len(unit.cells)))
    if len(told) == 1:
        name, cell = names[told[0]], unit.cells[told[0]]
        if len(unit.cells) > 2 or _BARE.fullmatch(cell):
            label = f"{label}, {name}" if name and label else label or name
        return f"{label}: {cell}" if label else cell
    parts = [f"{names[at]} {unit.cells[at]}".strip() for at in told if unit.cells[at]]
    return f"{label}: {', '.join(parts)}" if label else ", ".join(parts)
