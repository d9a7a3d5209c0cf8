"""Parts of a Word file that mammoth does not read: headers, footers, formulas, some text boxes, hidden text.

It works on the XML in the archive. Macros and other embedded objects are never looked at.
"""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_DOCUMENT, _STYLES = "word/document.xml", "word/styles.xml"
_RUNNING = re.compile(r"word/(?:header|footer)\d*\.xml")
_CHANGED = re.compile(rb"<(?:\w+:)?(?:vanish|oMath|txbxContent)\b")
_FALSE = frozenset({"0", "false", "off"})
_HEADING = re.compile(r"(?:heading|title)\b.*", re.IGNORECASE)
LINE_MAX = 200
"""Characters of a running line that counts."""


def prepared(path: Path) -> BinaryIO:
    """Return the file for mammoth: the same one, or one whose text mammoth finds."""
    with zipfile.ZipFile(path) as archive:
        if _DOCUMENT not in archive.namelist() or not _CHANGED.search(archive.read(_DOCUMENT)):
            return path.open("rb")
        root = ElementTree.fromstring(archive.read(_DOCUMENT))  # noqa: S314 - expat bounds entities
        for element in list(root.iter()):
            _prepare(element)
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w") as made:
            for member in archive.infolist():
                if member.filename == _DOCUMENT:
                    made.writestr(member.filename, ElementTree.tostring(root))
                elif not member.filename.startswith("word/media/"):
                    made.writestr(member.filename, archive.read(member))
    written.seek(0)
    return written


def running_lines(path: Path) -> list[str]:
    """Return the lines of headers and footers, each once, without those that number pages."""
    lines: dict[str, None] = {}
    with zipfile.ZipFile(path) as archive:
        for name in sorted(filter(_RUNNING.fullmatch, archive.namelist())):
            root = ElementTree.fromstring(archive.read(name))  # noqa: S314 - as above
            for paragraph in root.iter(f"{_W}p"):
                line = _line(paragraph)
                if any(mark.isalpha() for mark in line) and len(line) <= LINE_MAX:
                    lines.setdefault(line)
    return list(lines)


def outline_levels(path: Path) -> dict[str, int]:
    """Return the names of an author's own styles that are headings, with their levels from 1."""
    with zipfile.ZipFile(path) as archive:
        if _STYLES not in archive.namelist():
            return {}
        root = ElementTree.fromstring(archive.read(_STYLES))  # noqa: S314 - as above
    styles = {style.get(f"{_W}styleId", ""): style for style in root.iter(f"{_W}style")}
    levels = {}
    for style in styles.values():
        name = _value(style.find(f"{_W}name"))
        level = _level(style, styles)
        if level is not None and level < 6 and name and not _HEADING.fullmatch(name) and "'" not in name:
            levels[name] = level + 1
    return levels


def _level(style: Element, styles: dict[str, Element]) -> int | None:
    """Return the outline level of a style or of one that it is based on, from 0."""
    for _ in range(len(styles)):
        level = _value(style.find(f"{_W}pPr/{_W}outlineLvl"))
        if level.isdigit():
            return int(level)
        named = re.fullmatch(r"heading ([1-6])", _value(style.find(f"{_W}name")), re.IGNORECASE)
        if named:
            return int(named[1]) - 1
        base = styles.get(_value(style.find(f"{_W}basedOn")))
        if base is None:
            return None
        style = base
    return None


def _value(element: Element | None) -> str:
    return "" if element is None else element.get(f"{_W}val", "")


def _prepare(element: Element) -> None:
    """Change the children of an element: hidden runs go, formulas and text boxes become text."""
    for at, child in reversed(list(enumerate(element))):
        if child.tag == f"{_W}r":
            hidden = child.find(f"{_W}rPr/{_W}vanish")
            if hidden is not None and _value(hidden) not in _FALSE:
                element.remove(child)
        elif child.tag == f"{_M}oMath":
            element[at] = _run(_formula(child))
        elif child.tag == f"{_MC}AlternateContent":
            boxes = f".//{_W}txbxContent"
            fallback = child.find(f"{_MC}Fallback")
            shown = fallback is not None and fallback.find(boxes) is not None
            if not shown and (box := child.find(boxes)) is not None:
                element[at] = _box(box)
        elif child.tag == f"{_W}drawing" and (box := child.find(f".//{_W}txbxContent")) is not None:
            element[at] = _box(box)


def _box(content: Element) -> Element:
    box = Element(f"{_W}pict")
    box.append(content)
    return box


def _run(text: str) -> Element:
    run = Element(f"{_W}r")
    ElementTree.SubElement(run, f"{_W}t").text = text
    return run


def _formula(element: Element) -> str:
    """Return a formula in one line: `a/b`, `x^2`."""

    def part(name: str) -> str:
        found = element.find(f"{_M}{name}")
        return "" if found is None else _formula(found)

    match element.tag.removeprefix(_M):
        case "t":
            return element.text or ""
        case "f":
            return f"({part('num')})/({part('den')})"
        case "sSup":
            return f"{part('e')}^{part('sup')}"
        case "sSub":
            return f"{part('e')}_{part('sub')}"
        case "rad":
            return f"√({part('e')})"
    return "".join(map(_formula, element))


def _line(paragraph: Element) -> str:
    """Return a paragraph's text; "" if a field in it numbers the pages."""
    if any(re.search(r"\b(?:NUM)?PAGES?\b", code) for code in _fields(paragraph)):
        return ""
    parts = [
        element.text or "" if element.tag == f"{_W}t" else " "
        for element in paragraph.iter()
        if element.tag in {f"{_W}t", f"{_W}tab", f"{_W}br"}
    ]
    return " ".join("".join(parts).split())


def _fields(paragraph: Element) -> Iterator[str]:
    for element in paragraph.iter():
        if element.tag == f"{_W}instrText":
            yield element.text or ""
        elif element.tag == f"{_W}fldSimple":
            yield element.get(f"{_W}instr", "")
