"""Writes the elements of a parsed page as Markdown blocks. Pure."""

import re
from collections.abc import Callable, Iterator

from selectolax.lexbor import LexborNode

from agents.documents.html_table import grid, has_row_headers, is_layout, table_rows
from agents.documents.table_rule import cell_spans
from agents.documents.tables import table_blocks

Breathe = Callable[[], None]

# fmt: off
_SKIPPED = frozenset({
    "head", "script", "style", "template", "noscript", "svg", "math", "iframe", "object", "audio", "video",
    "canvas", "select", "button", "input", "textarea", "dialog", "datalist", "rt", "rp", "title", "meta",
    "link", "img", "-comment", "-doctype",
})
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dir", "div",
    "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6",
    "header", "hgroup", "hr", "html", "legend", "li", "listing", "main", "menu", "nav", "ol", "p",
    "plaintext", "pre", "search", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr",
    "ul", "xmp",
})
# fmt: on
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_BESIDE = frozenset({"nav", "aside", "footer", "search"})
_SIGNED = frozenset({"blockquote", "figure"})
_BESIDE_ROLES = frozenset({"navigation", "complementary", "contentinfo", "search"})
_CONTENT = "main, article, h1, [role=main]"
_LISTS = frozenset({"ul", "ol", "menu", "dir"})
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_SPACES = re.compile(r"[\t\r\n\f\xa0][ \t\r\n\f\xa0]*| [ \t\r\n\f\xa0]+")
"""Blanks that are folded into one; one space alone is left, for most are."""
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")
_BLOCK_MARK = re.compile(r"^(?=[-+*>][ ]|#{1,6} |```|~~~|\|)", re.MULTILINE)
_ESCAPED_MARK = re.compile(r"^\\(?=[-+*>#`~|])", re.MULTILINE)
_HEADING_MARK = re.compile(r"^#{1,6} ")
_LIST_MARK = re.compile(r"(?:- |\d+\. )")
_BACKTICKS = re.compile("`+")
_RAISED = str.maketrans("0123456789+-n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ")
_LOWERED = str.maketrans("0123456789+-", "₀₁₂₃₄₅₆₇₈₉₊₋")
_SCRIPT = re.compile(r"[0-9+-]{1,4}")


class Writer:
    """Writes a page.

    Args:
        breathe: called for each element.
        open_ended: the names of elements of which one has no end, and so may hold the rest of the page.
        whole: leave out no part of the page.
    """

    def __init__(
        self, breathe: Breathe, open_ended: frozenset[str] = frozenset(), *, whole: bool = False
    ) -> None:
        self._breathe = breathe
        self._open_ended = open_ended
        self._whole = whole

    def written(self, root: LexborNode) -> str:
        """Return the Markdown of an element's content."""
        return "\n\n".join(self._blocks(root))

    def _blocks(self, parent: LexborNode, *, without_links: bool = False) -> Iterator[str]:
        """Yield the blocks in an element, each without blank lines around it."""
        line: list[str] = []
        for node in parent.iter(include_text=True):
            self._breathe()
            if self._is_left_out(node) or (without_links and _is_link(node)):
                continue
            if _is_inline(node):
                line.append(self._inline(node))
                continue
            yield from _paragraph(line)
            line = []
            if without_links and node.tag in {"div", "section", "header", "form"}:
                yield from self._blocks(node, without_links=True)
            else:
                yield from self._block(node)
        yield from _paragraph(line)

    def _block(self, node: LexborNode) -> Iterator[str]:
        tag = node.tag or ""
        if tag in _HEADINGS:
            if heading := " ".join(" ".join(self._blocks(node)).split()).lstrip("# "):
                yield f"{'#' * int(tag[1])} {heading}"
        elif tag in _LISTS:
            if items := list(self._items(node)):
                yield "\n".join(items)
        elif tag == "li":  # one outside of a list
            yield from self._item(node, "- ")
        elif tag == "dl":
            if items := list(self._definitions(node)):
                yield "\n".join(items)
        elif tag in {"pre", "listing", "xmp", "plaintext"}:
            yield from _code(node)
        elif tag == "blockquote":
            if inner := "\n\n".join(self._blocks(node)):
                yield "\n".join(f"> {line}".rstrip() for line in inner.split("\n"))
        elif tag == "table":
            yield from self._table(node)
        else:
            beside = (tag in _BESIDE or tag == "header" or _role(node) in _BESIDE_ROLES) and not self._whole
            yield from self._blocks(node, without_links=beside)

    def _items(self, node: LexborNode) -> Iterator[str]:
        start = (node.attributes.get("start") or "1").strip()
        number = int(start) if start.isascii() and start.isdigit() and len(start) < 7 else 1
        for child in node.iter(include_text=True):
            if self._is_left_out(child):
                continue
            if child.tag == "li":
                yield from self._item(child, f"{number}. " if node.tag == "ol" else "- ")
                number += 1
            elif child.tag in _LISTS:
                yield from (_indented(item, "  ") for item in self._items(child))
            elif not _is_inline(child):
                yield from self._block(child)
            elif text := self._inline(child).strip():
                yield f"- {text}"

    def _item(self, node: LexborNode, mark: str) -> Iterator[str]:
        indent = " " * len(mark)
        item = ""
        for block in self._blocks(node):
            if item:
                item += ("\n" if _LIST_MARK.match(block) else "\n\n") + indent
            item += _indented(block, indent).removeprefix(indent)
        if item:
            yield mark + item

    def _definitions(self, node: LexborNode) -> Iterator[str]:
        terms: list[str] = []
        said = True
        for child in _terms(node):
            text = self._cell(child)
            if child.tag == "dt":
                terms, said = ([], False) if said else (terms, False)
                terms.append(text)
            elif text:
                said = True
                term = ", ".join(filter(None, terms))
                yield f"- {term}: {text}" if term else f"- {text}"
        if not said and any(terms):
            yield f"- {', '.join(filter(None, terms))}"

    def _table(self, node: LexborNode) -> Iterator[str]:
        for child in node.iter():
            if child.tag == "caption":
                yield from self._blocks(child)
        rows = table_rows(node)
        if is_layout(node, rows):
            for row in rows:
                for cell in row.cells:
                    yield from self._blocks(cell)
        else:
            yield from table_blocks(grid(rows, self._cell), named=not has_row_headers(rows))

    def _cell(self, node: LexborNode) -> str:
        """Return an element's content in one line; items of a list are divided by semicolons."""
        return " ".join(" ".join(map(_flat, self._blocks(node))).split())

    def _inline(self, node: LexborNode) -> str:
        """Return the text of an inline element, its blanks folded and its line breaks kept."""
        tag = node.tag
        if tag == "-text":
            return _SPACES.sub(" ", _INVISIBLE.sub("", node.text_content or ""))
        if tag == "br":
            return "\n"
        inner = "".join(
            self._inline(child) for child in node.iter(include_text=True) if not self._is_left_out(child)
        )
        said = inner.strip()
        if tag in {"sup", "sub"} and _SCRIPT.fullmatch(said):
            return said.translate(_RAISED if tag == "sup" else _LOWERED)
        if tag == "del" and said:
            return f"~~{said}~~ "
        return f"“{inner}”" if tag == "q" else inner

    def _is_left_out(self, node: LexborNode) -> bool:
        tag = node.tag or ""
        if tag in _SKIPPED:
            return True
        if tag == "-text" or self._whole:
            return False
        attributes = node.attributes
        if attributes:
            if "hidden" in attributes or attributes.get("aria-hidden") == "true":
                return True
            if (style := attributes.get("style")) and _HIDDEN_STYLE.search(style):
                return True
        beside = tag in _BESIDE or (bool(attributes) and _role(node) in _BESIDE_ROLES)
        if not beside or tag in self._open_ended or node.css_first(_CONTENT) is not None:
            return False
        return not (tag == "footer" and node.parent is not None and node.parent.tag in _SIGNED)


def _flat(block: str) -> str:
    """Return a block as a part of a line."""
    lines = block.split("\n")
    if _LIST_MARK.match(block):
        return "; ".join(_LIST_MARK.sub("", line.strip(), count=1) for line in lines)
    if block.startswith("| "):
        header, _, *rows = [
            [line[start:end] for start, end in cell_spans(line, 0, len(line))] for line in lines
        ]
        named = [zip(header, row, strict=True) for row in rows]
        return "; ".join(
            ", ".join(f"{name}: {cell}" if name else cell for name, cell in row if cell) for row in named
        )
    if block.startswith("```"):
        return " ".join(f"`{line}`" for line in lines[1:-1] if line.strip())
    return _HEADING_MARK.sub("", _ESCAPED_MARK.sub("", block))


def _terms(node: LexborNode) -> Iterator[LexborNode]:
    """Yield the terms and definitions of a list, not those of lists in them; `div` may group them."""
    for child in node.iter():
        if child.tag in {"dt", "dd"}:
            yield child
        elif child.tag == "div":
            yield from _terms(child)


def _role(node: LexborNode) -> str:
    return node.attributes.get("role") or ""


def _is_inline(node: LexborNode) -> bool:
    """Whether an element is part of a line: all that is no block and has none in it."""
    tag = node.tag or ""
    if tag == "-text":
        return True
    if tag in _BLOCKS:
        return False
    return all(_is_inline(child) for child in node.iter())


def _is_link(node: LexborNode) -> bool:
    """Whether all that an element says is in links."""
    if node.tag == "-text":
        return not any(mark.isalnum() for mark in node.text_content or "")
    if node.tag == "a":
        return True
    if node.tag not in {"ul", "ol", "li", "div", "span", "p"}:
        return False
    linked = sum(len(link.text().strip()) for link in node.css("a"))
    return 0 < linked >= 0.8 * len(node.text().strip())


def _paragraph(line: list[str]) -> Iterator[str]:
    text = "\n".join(" ".join(part.split()) for part in "".join(line).split("\n")).strip()
    if text:
        yield _BLOCK_MARK.sub(r"\\", re.sub(r"\n{2,}", "\n", text))


def _code(node: LexborNode) -> Iterator[str]:
    for line_break in node.css("br"):
        line_break.replace_with("\n")
    text = _INVISIBLE.sub("", node.text()).strip("\n")
    if text.strip():
        fence = "`" * max(3, *(len(found) + 1 for found in _BACKTICKS.findall(text)), 3)
        yield f"{fence}\n{text}\n{fence}"


def _indented(block: str, indent: str) -> str:
    return "\n".join(f"{indent}{line}" if line else line for line in block.split("\n"))
