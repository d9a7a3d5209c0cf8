"""Front matter, YAML or TOML, at the top of a Markdown text: where it ends, and the title in it. Pure.

A rule (`---`) at the top with ordinary text below it is no front matter: nothing of a text may be lost.
"""

import re

LENGTH_MAX = 16_384
"""Characters in which front matter must end."""

_FENCED = re.compile(
    r"---[ \t]*(?:\r\n?|\n)(.*?)^(?:---|\.\.\.)[ \t]*(?:\r\n?|\n|\Z)", re.DOTALL | re.MULTILINE
)
_TOML = re.compile(r"\+\+\+[ \t]*(?:\r\n?|\n)((?:[^\n]*\n)*?)\+\+\+[ \t]*(?:\r\n?|\n|\Z)")
_TOML_KEY = re.compile(r"[A-Za-z_][\w.-]*\s*=|\[[\w.-]+\]\s*\Z")
_KEY = re.compile(
    r"""(?:"([^"\n]{1,80})"|'([^'\n]{1,80})'|([^\s:#\-\[\]{}"'][^:\n]{0,79}?))[ \t]*:(?:[ \t]|$)"""
)
_NAME = re.compile(r"[a-z][a-z0-9_.-]*")
_INNER = re.compile(r"[ \t]|-(?:[ \t]|$)|[\]}#]|$")
_WELL_KNOWN = frozenset(
    {"title", "date", "author", "authors", "tags", "layout", "description", "category", "version"}
)


def split_front_matter(text: str) -> tuple[int, str]:
    """Return where the text below the front matter begins, and the title in that; (0, "") without any."""
    begins = 1 if text.startswith("\ufeff") else 0
    if toml := _TOML.match(text[begins : begins + LENGTH_MAX]):
        title = _toml_title(toml[1])
        return (0, "") if title is None else (begins + toml.end(), title)
    found = _FENCED.match(text[begins : begins + LENGTH_MAX])
    if not found:
        return 0, ""
    lines = found[1].splitlines()
    keys = [_key(line) for line in lines if not _INNER.match(line)]
    begun = lines and (lines[0].startswith("#") or not _INNER.match(lines[0]))
    if not begun or not all(keys):
        return 0, ""
    if not any(_NAME.fullmatch(key) or key.lower() in _WELL_KNOWN for key in keys):
        return 0, ""
    return begins + found.end(), _title(lines)


def _toml_title(inner: str) -> str | None:
    """Return the title in TOML ("": none); None if the lines are no TOML."""
    lines = [
        line.strip() for line in inner.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines or not _TOML_KEY.match(lines[0]):
        return None
    titles = [_scalar(line.split("=", 1)[1].strip()) for line in lines if re.match(r"title\s*=\s*\S", line)]
    return titles[0] if titles else ""


def _key(line: str) -> str:
    found = _KEY.match(line)
    return (found[1] or found[2] or found[3] or "").strip() if found else ""


def _title(lines: list[str]) -> str:
    for number, line in enumerate(lines):
        if _key(line).lower() != "title":
            continue
        value = line.split(":", 1)[1].strip()
        if value in {"", "|", ">", "|-", ">-", "|+", ">+"}:
            following = []
            for inner in lines[number + 1 :]:
                if not inner.startswith((" ", "\t")):
                    break
                following.append(inner.strip())
            return " ".join(following)
        return _scalar(value)
    return ""


def _scalar(value: str) -> str:
    if value[0] == '"' and (end := value.find('"', 1)) > 0:
        return value[1:end].strip()
    if value[0] == "'" and (end := value.rfind("'")) > 0:
        return value[1:end].replace("''", "'").strip()
    return re.split(r"[ \t]#", value, maxsplit=1)[0].strip()
