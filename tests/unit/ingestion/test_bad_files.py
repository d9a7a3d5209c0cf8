"""Files that were made to harm, or are not what their names say, cost one line each; the rest goes on."""

import re
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import docx
import pptx
import pytest
from openpyxl import Workbook
from reportlab.pdfgen.canvas import Canvas

from schemas.document import Document
from streams.ingestion.files import Problem, find_files, read_documents
from streams.ingestion.limited import LimitedReader

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
LEVELS = [f'<!ENTITY {after} "{f"&{before};" * 100}">' for before, after in pairwise("abcde")]
ENTITIES = f'<!DOCTYPE x [<!ENTITY a "{"word " * 100}">{"".join(LEVELS)}]>'
TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="book.opf"/></rootfiles></container>'
)


def archive(path: Path, **members: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in members.items():
            made.writestr(name, text)


def word_with_entities(path: Path) -> None:
    body = f"<w:document {W}><w:body><w:p><w:r><w:t>&e;</w:t></w:r></w:p></w:body></w:document>"
    archive(path, **{"[Content_Types].xml": TYPES, "word/document.xml": ENTITIES + body})


def book_with_entities(path: Path) -> None:
    package = ENTITIES + '<package xmlns="http://www.idpf.org/2007/opf"><metadata>&e;</metadata></package>'
    archive(path, **{"META-INF/container.xml": CONTAINER, "book.opf": package})


def pages(path: Path) -> None:
    canvas = Canvas(str(path))
    for number in range(6):
        canvas.drawString(60, 700, f"Page {number}.")
        canvas.showPage()
    canvas.save()


def locked(path: Path) -> None:
    canvas = Canvas(str(path), encrypt="secret")
    canvas.drawString(60, 700, "Nobody reads this.")
    canvas.save()


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "entities.docx": (word_with_entities, "damaged"),
    "entities.epub": (book_with_entities, "damaged"),
    "nothing.docx": (Path.touch, "damaged"),
    "nothing.pdf": (Path.touch, "damaged"),
    "nothing.html": (Path.touch, "empty"),
    "nothing.csv": (Path.touch, "empty"),
    "nothing.eml": (Path.touch, "not a mail"),
    "picture.pdf": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99)), "damaged"),
    "program.xlsx": (lambda path: path.write_bytes(b"MZ" + bytes(99)), "damaged"),
    "web.docx": (lambda path: path.write_text("<html>no archive</html>"), "damaged"),
    "binary.csv": (lambda path: path.write_bytes(bytes(range(256)) * 9), "no text"),
    "locked.pdf": (locked, "password"),
    "many.pdf": (pages, "more than 5: split it"),
    "old.xlsx": (lambda path: path.write_bytes(b"\xd0\xcf\x11\xe0" + bytes(512)), "password"),
    "members.epub": (lambda path: archive(path, **{f"{at}": "" for at in range(20_002)}), "unpack"),
}


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    for name, (make, _) in BAD.items():
        make(tmp_path / name)
    (tmp_path / "a.md").write_text("# Pump\n\nIt turns.")
    (tmp_path / "z.html").write_text("<p>It stops." + "<div>" * 50_000)
    return tmp_path


def test_each_bad_file_costs_a_line_and_the_rest_is_read(bad: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.ingestion.pdf.PAGES_MAX", 5)
    read: dict[str, list[Document | Problem]] = {}
    for path in find_files([bad]):
        assert isinstance(path, Path)
        read[path.name] = list(read_documents(path, None))
    for name, (_, says) in BAD.items():
        (problem,) = read[name]
        assert isinstance(problem, Problem), name
        assert re.search(says, problem.message), (name, problem.message)
        assert "\n" not in problem.message
    for name, text in (("a.md", "It turns."), ("z.html", "It stops.")):
        (document,) = read[name]
        assert isinstance(document, Document)
        assert text in document.text


def test_a_file_that_needs_too_much_memory_costs_only_itself(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in range(1_000):
        sheet.append([f"cell {row} {at}" for at in range(200)])
    book.save(tmp_path / "large.xlsx")
    (tmp_path / "small.html").write_text("<p>It turns.</p>")
    with LimitedReader(memory=220_000_000) as reader:
        (problem,) = read_documents(tmp_path / "large.xlsx", None, reader)
        assert isinstance(problem, Problem)
        assert "memory" in problem.message or "MB" in problem.message
        (document,) = read_documents(tmp_path / "small.html", None, reader)
        assert isinstance(document, Document)


def word(path: Path) -> None:
    made = docx.Document()
    made.add_paragraph("It turns.")
    made.save(str(path))


def sheet(path: Path) -> None:
    made = Workbook()
    assert made.active is not None
    made.active.append(["It turns."])
    made.save(path)


def slide(path: Path) -> None:
    made = pptx.Presentation()
    made.slides.add_slide(made.slide_layouts[0]).shapes.title.text = "It turns."
    made.save(str(path))


@pytest.mark.parametrize(("suffix", "make"), [(".docm", word), (".xlsm", sheet), (".pptm", slide)])
def test_a_macro_is_never_looked_at(tmp_path: Path, suffix: str, make: Callable[[Path], None]) -> None:
    path = tmp_path / f"a{suffix}"
    make(path)
    with zipfile.ZipFile(path, "a") as made:
        for folder in ("word", "xl", "ppt"):
            made.writestr(f"{folder}/vbaProject.bin", b"\xd0\xcf\x11\xe0 Shell")
    (document,) = read_documents(path, None)
    assert isinstance(document, Document)
    assert "It turns." in document.text
    assert "Shell" not in document.text
