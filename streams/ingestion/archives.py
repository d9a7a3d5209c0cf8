"""Files that are ZIP archives: a look at them before they are unpacked, and e-books (EPUB)."""

import posixpath
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

from agents.documents.html import html_to_markdown
from streams.ingestion.encodings import decoded
from streams.ingestion.parts import Part, UnreadableError, whole

UNPACKED_MAX = 512 * 1024 * 1024
MEMBERS_MAX = 20_000
RATIO_MAX = 250
"""An archive that grows by more is taken for one that was made to harm; only a large one is judged by it."""

_ASIDE = re.compile(r"<(/?)aside\b", re.IGNORECASE)
_OLD = b"\xd0\xcf\x11\xe0"
_CONTAINER = "{urn:oasis:names:tc:opendocument:xmlns:container}"
_PACKAGE = "{http://www.idpf.org/2007/opf}"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"


def check_archive(path: Path, kind: str) -> None:
    """Look at an archive's list of contents, so that nothing harmful is unpacked.

    Raises:
        UnreadableError: it is no archive, is protected, or would grow without bounds.
    """
    with path.open("rb") as file:
        if file.read(4) == _OLD:
            raise UnreadableError(
                f"is protected by a password, or in the format before 2007: save it as {kind} without one"
            )
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise UnreadableError(f"is a damaged {kind} file: save it again") from error
    unpacked = sum(member.file_size for member in members)
    packed = max(path.stat().st_size, 1)
    if any(member.flag_bits & 1 for member in members):
        raise UnreadableError("is protected by a password: save it without a password")
    if (
        len(members) > MEMBERS_MAX
        or unpacked > UNPACKED_MAX
        or (unpacked > UNPACKED_MAX // 8 and unpacked > RATIO_MAX * packed)
    ):
        raise UnreadableError(f"would unpack to {unpacked // 1_048_576:,} MB: split it, or save it again")


def read_epub(path: Path) -> Iterator[Part | UnreadableError]:
    """Read an e-book's chapters in their order."""
    check_archive(path, "epub")
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            title, chapters = _contents(archive)
            if "META-INF/encryption.xml" in names and b"font" not in archive.read("META-INF/encryption.xml"):
                raise UnreadableError("is protected (DRM): get it without protection")
            pages = [_page(decoded(archive.read(name), page=True)) for name in chapters if name in names]
    except (KeyError, ElementTree.ParseError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise UnreadableError(f"is a damaged epub file ({type(error).__name__}): save it again") from error
    yield whole("\n\n".join(page for page in pages if page), title or path.stem)


def _page(text: str) -> str:
    # Notes stand in asides, and a chapter has nothing else beside its text.
    return html_to_markdown(_ASIDE.sub(r"<\1div", text), xml=True).text


def _contents(archive: zipfile.ZipFile) -> tuple[str, list[str]]:
    """Return an e-book's title and the names of its chapters, as its package lists them."""
    container = ElementTree.fromstring(archive.read("META-INF/container.xml"))  # noqa: S314 - expat bounds entities
    root = next(iter(container.iter(f"{_CONTAINER}rootfile"))).attrib["full-path"]
    package = ElementTree.fromstring(archive.read(root))  # noqa: S314 - as above
    title = next((found.text or "" for found in package.iter(_TITLE)), "")
    places = {
        item.get("id"): posixpath.normpath(
            posixpath.join(posixpath.dirname(root), unquote(item.get("href", "")))
        )
        for item in package.iter(f"{_PACKAGE}item")
        if "nav" not in item.get("properties", "").split()
    }
    order = [places.get(item.get("idref")) for item in package.iter(f"{_PACKAGE}itemref")]
    return title.strip(), [name for name in order if name]
