"""HTML made into Markdown: a page's content with its headings, lists, tables and code. Pure.

lexbor parses as browsers do, so that omitted and misplaced tags mean what people see. Left out are scripts,
navigation, asides, footers and what is hidden; of a page that has nothing else, they are its content.

No text makes it raise. Before it is parsed, a page loses the tags that would cost time with the square of its
length: nesting beyond `DEPTH_MAX`, and elements of formatting, which the parser repeats in every paragraph.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from selectolax.lexbor import LexborHTMLParser

from agents.documents.html_blocks import Breathe, Writer

DEPTH_MAX = 120
"""Elements within each other; deeper ones are taken as text."""

TAG_MAX = 65_536
"""Characters of a tag; a longer one is left out."""

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)([^<>]*)>?")
_RAW = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style|noscript|template|svg|textarea|xmp)\b.*?(?:</\1\s*>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_FORMATTING = frozenset({"b", "big", "code", "em", "font", "i", "nobr", "small", "strong", "tt", "u"})
_STRUCK = frozenset({"s", "strike"})
# fmt: off
# Their ends may be omitted, or they have none: they do not nest.
_FLAT = frozenset({
    "html", "head", "body", "p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "colgroup",
    "caption", "option", "optgroup", "rp", "rt", "area", "base", "br", "col", "embed", "hr", "img", "input",
    "link", "meta", "param", "source", "track", "wbr",
})
# fmt: on
_VOID = frozenset(
    {
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
    }
)
_XML = re.compile(r"\s*<\?xml\b")
_EMPTY = re.compile(r"<([a-zA-Z][\w:.-]*)((?:\s[^<>]*)?)/>")
_TRIED_FOR_LEAKS = ("nav", "aside", "footer", "header")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Page:
    """A page as Markdown, and its title ("": none)."""

    text: str
    title: str


def html_to_markdown(html: str, breathe: Breathe = lambda: None, *, xml: bool = False) -> Page:
    """Convert a page. `breathe` is called often, for a thread beside an event loop.

    `xml`: it is XML though it does not begin like it, so that `<title/>` has an end.
    """
    if xml or _XML.match(html):
        html = _EMPTY.sub(_ended, html)
    tidied, open_ended = _tidied(html, breathe)
    parsed = LexborHTMLParser(tidied)
    root = parsed.root
    if root is None:
        return Page("", "")
    found = parsed.css_first("title")
    title = _SPACES.sub(" ", found.text() if found else "").strip()
    text = Writer(breathe, open_ended).written(root)
    if not text:
        text = Writer(breathe, open_ended, whole=True).written(root)
    return Page(text, title)


def _ended(tag: re.Match[str]) -> str:
    return tag[0] if tag[1].lower() in _VOID else f"<{tag[1]}{tag[2]}></{tag[1]}>"


def _tidied(html: str, breathe: Callable[[], None]) -> tuple[str, frozenset[str]]:
    """Return the page without the tags that cost too much, and the names of elements that lack an end."""
    kept: list[str] = []
    depth = 0
    dropped = 0
    counts = dict.fromkeys(_TRIED_FOR_LEAKS, 0)
    at = 0
    html = _RAW.sub(" ", html.replace("\0", ""))
    for tag in _TAG.finditer(html):
        end, name = bool(tag[1]), tag[2].lower()
        kept.append(html[at : tag.start()])
        at = tag.end()
        breathe()
        if name in counts:
            counts[name] += -1 if end else 1
        if name in _FORMATTING or len(tag[0]) > TAG_MAX:
            continue
        if name in _STRUCK:
            kept.append(f"<{tag[1]}del>")
            continue
        if name not in _FLAT and not tag[3].endswith("/"):
            if end and dropped:
                dropped -= 1
                continue
            if not end and depth >= DEPTH_MAX:
                dropped += 1
                kept.append(" ")
                continue
            depth = max(depth + (-1 if end else 1), 0)
        kept.append(tag[0])
    kept.append(html[at:])
    return "".join(kept), frozenset(name for name, count in counts.items() if count > 0)
