"""The data of charts and the texts of diagrams in a presentation, as Markdown."""

from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree import ElementTree

from agents.documents.tables import write_table

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_CHART = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}relIds"
_DATA = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}dm"


def chart_blocks(chart: Any) -> list[str]:
    """Return a chart's title and a table of its values: a row for each category, a column for each series."""
    title = " ".join(chart.chart_title.text_frame.text.split()) if _has_title(chart) else ""
    series = [each for plot in chart.plots for each in plot.series]
    shares = [_is_share(each) for each in chart.element.iter(f"{_CHART}ser")]
    names = [" / ".join(filter(None, labels)) for labels in _categories(chart)]
    length = max((len(each.values) for each in series), default=0)
    rows = [
        [
            names[at] if at < len(names) else "",
            *(_value(each.values, at, share=share) for each, share in zip(series, shares, strict=False)),
        ]
        for at in range(length)
    ]
    header = ["", *(each.name for each in series)]
    return [block for block in (title, write_table(header, rows) if rows else "") if block]


def diagram_lines(shape: Any) -> str:
    """Return the texts of a diagram (SmartArt) as a list; "" if the shape is none."""
    return "\n".join(f"- {line}" for line in _diagram_texts(shape))


def _diagram_texts(shape: Any) -> Iterator[str]:
    for relation in shape.element.iter(_DIAGRAM):
        data = shape.part.related_part(relation.get(_DATA)).blob
        root = ElementTree.fromstring(data)  # noqa: S314 - expat bounds entities
        for paragraph in root.iter(f"{_A}p"):
            text = " ".join("".join(each.text or "" for each in paragraph.iter(f"{_A}t")).split())
            if text:
                yield text


def _has_title(chart: Any) -> bool:
    return bool(chart.has_title and chart.chart_title.has_text_frame)


def _categories(chart: Any) -> list[tuple[str, ...]]:
    for plot in chart.plots:
        if len(plot.categories):
            return [tuple(map(str, labels)) for labels in plot.categories.flattened_labels]
    return []


def _is_share(series: Any) -> bool:
    return any("%" in (code.text or "") for code in series.iter(f"{_CHART}formatCode"))


def _value(values: Sequence[float | None], at: int, *, share: bool) -> str:
    value = values[at] if at < len(values) else None
    if value is None:
        return ""
    return f"{value * 100:.10g}%" if share else f"{value:.12g}"
