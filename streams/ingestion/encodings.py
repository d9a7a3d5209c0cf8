"""The characters of a file whose encoding nobody declares. Pure.

UTF-8, byte order marks and what a page declares are certain. Anything else is recognised only where no other
encoding would make sense of the bytes: wrong characters must never get into a document in silence.
"""

import codecs
import re

from streams.ingestion.parts import UnreadableError
from streams.ingestion.plausible import only_signs, plausible_texts

SAMPLE = 32_768
"""Bytes that are looked at where the encoding must be guessed."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARED = re.compile(
    rb"""<(?:meta\b[^>]*?\bcharset\s*=\s*["']?|\?xml\b[^>]*?\bencoding\s*=\s*["'])\s*([\w.:-]+)""",
    re.IGNORECASE,
)
_WIDER = {
    "gb2312": "gb18030", "gbk": "gb18030", "gb_2312-80": "gb18030", "x-gbk": "gb18030",
    "iso-8859-1": "cp1252", "latin1": "cp1252", "ascii": "cp1252", "us-ascii": "cp1252",
    "shift_jis": "cp932", "shift-jis": "cp932", "x-sjis": "cp932", "sjis": "cp932",
    "ks_c_5601-1987": "cp949", "euc-kr": "cp949", "big5": "big5hkscs", "iso-8859-9": "cp1254",
    "tis-620": "cp874",
}  # fmt: skip
"""The encoding that browsers take for a declared one."""
_ESCAPED = re.compile(rb"\x1b\$[@B]")
"""ISO-2022-JP is made of ASCII bytes; this leads to its characters."""
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f]")

CONVERT = "convert it to UTF-8 first, for instance with: iconv -f ENCODING -t UTF-8"


def decoded(raw: bytes, *, page: bool = False) -> str:
    """Return the text of a file, without byte order mark; of a `page` its declared encoding counts.

    Raises:
        UnreadableError: the bytes are no text, or their encoding is uncertain.
    """
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return _certain(raw.removeprefix(mark) if encoding == "utf-8" else raw, encoding)
    if b"\0" in raw:
        return _without_mark(raw)
    if not _ESCAPED.search(raw):
        try:
            return raw.decode()
        except UnicodeDecodeError:
            pass
    if page and (declared := _DECLARED.search(raw[:4_096])):
        name = declared[1].decode("ascii", "replace").lower()
        if name not in {"utf-8", "utf8"}:
            return _certain(raw, _WIDER.get(name, name))
    return _guessed(raw)


def _certain(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding)
    except LookupError:
        raise UnreadableError(f"names the unknown encoding {encoding!r}: {CONVERT}") from None
    except UnicodeDecodeError as error:
        raise UnreadableError(f"says that it is {encoding}, and is not ({error.reason}): {CONVERT}") from None


def _without_mark(raw: bytes) -> str:
    """Read UTF-16 that does not say so: every second byte of many of its characters is zero."""
    even, odd = raw[::2].count(0), raw[1::2].count(0)
    encoding = "utf-16-le" if odd > even else "utf-16-be"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        text = "\0"
    if _CONTROLS.search(text) or max(even, odd) < 8 * min(even, odd):
        raise UnreadableError(f"is no text, or in an unknown encoding: {CONVERT}")
    return text


def _guessed(raw: bytes) -> str:
    if _ESCAPED.search(raw):
        return _certain(raw, "iso2022_jp")
    sample = raw[:SAMPLE]
    # Quotation marks and dashes alone have the same places in all encodings of Windows.
    if only_signs(marks := sample.decode("cp1252", "replace")) and "\ufffd" not in marks:
        return _certain(raw, "cp1252")
    found = set(plausible_texts(sample).values())
    if len(found) == 1:
        return _certain(raw, found.pop())
    likely = f" (perhaps {', '.join(sorted(found))})" if found else ""
    raise UnreadableError(f"is not UTF-8, and its encoding is uncertain{likely}: {CONVERT}")
