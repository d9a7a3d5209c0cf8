"""Office files, tables, mails and e-books become Markdown."""

import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from openpyxl.styles import Font
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from streams.ingestion.formats import READERS
from streams.ingestion.limited import LimitedReader
from streams.ingestion.parts import Content, Note, Part, UnreadableError

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
MC = "http://schemas.openxmlformats.org/markup-compatibility/2006"
MATH = "http://schemas.openxmlformats.org/officeDocument/2006/math"
TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="word/document.xml"/></Relationships>'
)


def archive(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in members.items():
            made.writestr(name, text)
    return path


def word(path: Path, body: str, **members: str) -> Path:
    document = f"<w:document {W}><w:body>{body}</w:body></w:document>"
    return archive(
        path,
        **{"[Content_Types].xml": TYPES, "_rels/.rels": RELATIONS, "word/document.xml": document},
        **members,
    )


def paragraph(text: str, style: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"


def read(path: Path) -> Content:
    (part,) = READERS[path.suffix](path)
    assert isinstance(part, Part)
    return part.content


def test_a_word_file_keeps_headings_and_merged_cells(tmp_path: Path) -> None:
    def cell(text: str, properties: str = "") -> str:
        return f"<w:tc><w:tcPr>{properties}</w:tcPr>{paragraph(text)}</w:tc>"

    head = cell("Plan") + cell("Price", '<w:gridSpan w:val="2"/>')
    body = cell("Solo") + cell("9") + cell("11")
    table = f"<w:tbl><w:tr>{head}</w:tr><w:tr>{body}</w:tr></w:tbl>"
    path = word(tmp_path / "a.docx", paragraph("Pump", "Heading1") + paragraph("It turns.") + table)
    content = read(path)
    assert content.title == "Pump"
    assert content.format == "markdown"
    assert "# Pump\n\nIt turns.\n\n" in content.text
    assert "| Plan | Price | Price |" in content.text
    assert "| Solo | 9 | 11 |" in content.text


def test_a_word_file_keeps_what_a_reader_sees(tmp_path: Path) -> None:
    bold = "<w:p><w:r><w:rPr><w:b/></w:rPr><w:t>Guarantee</w:t></w:r></w:p>"
    hidden = "<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>Hidden.</w:t></w:r></w:p>"
    box = (
        f'<w:p><w:r><mc:AlternateContent xmlns:mc="{MC}"><mc:Choice><w:txbxContent>{paragraph("Call 5544.")}'
        "</w:txbxContent></mc:Choice><mc:Fallback/></mc:AlternateContent></w:r></w:p>"
    )
    formula = f'<w:p><m:oMath xmlns:m="{MATH}"><m:r><m:t>E=mc</m:t></m:r></m:oMath></w:p>'
    lines = paragraph("Contents", "toc"), paragraph("Pump", "Title"), bold, hidden, box, formula
    styles = (
        f'<w:styles {W}><w:style w:type="paragraph" w:styleId="Own"><w:name w:val="Chapter"/>'
        '<w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>'
        '<w:style w:type="paragraph" w:styleId="toc"><w:name w:val="toc 1"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="Title"><w:name w:val="Title"/></w:style></w:styles>'
    )
    pages = "<w:p><w:r><w:instrText>PAGE</w:instrText><w:t>Page 1</w:t></w:r></w:p>"
    related = RELATIONS.replace('officeDocument" Target="word/document', 'styles" Target="styles')
    path = word(
        tmp_path / "a.docx",
        "".join(lines) + paragraph("Oil", "Own") + paragraph("It needs none."),
        **{
            "word/_rels/document.xml.rels": related,
            "word/styles.xml": styles,
            "word/header1.xml": f"<w:hdr {W}>{paragraph('Revision C')}{pages}</w:hdr>",
        },
    )
    content = read(path)
    assert content.title == "Pump"
    assert content.text == (
        "Revision C\n\n# Pump\n\n###### Guarantee\n\nCall 5544.\n\nE=mc\n\n## Oil\n\nIt needs none."
    )


def test_a_presentation_keeps_titles_tables_and_notes(tmp_path: Path) -> None:
    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Prices"
    slide.placeholders[1].text = "First point\nSecond point"
    shape = slide.shapes.add_table(2, 2, Inches(1), Inches(5), Inches(4), Inches(1))
    for at, text in enumerate(["Plan", "EUR", "Solo", "9"]):
        shape.table.cell(at // 2, at % 2).text = text
    slide.notes_slide.notes_text_frame.text = "Say it slowly."
    data = CategoryChartData(number_format="0%")
    data.categories = ["Web", "Shop"]
    data.add_series("Share", (0.4, 0.6))
    slide.shapes.add_chart(XL_CHART_TYPE.PIE, Inches(1), Inches(7), Inches(4), Inches(1), data)
    group = slide.shapes.add_group_shape()
    group.shapes.add_textbox(Inches(1), Inches(9), Inches(4), Inches(1)).text_frame.text = "In a group."
    hidden = deck.slides.add_slide(deck.slide_layouts[0])
    hidden.shapes.title.text = "Secret"
    hidden._element.set("show", "0")
    deck.save(tmp_path / "a.pptx")
    text = read(tmp_path / "a.pptx").text
    assert text == (
        "## Prices\n\n- First point\n- Second point\n\n| Plan | EUR |\n|---|---|\n| Solo | 9 |\n\n"
        "|  | Share |\n|---|---|\n| Web | 40% |\n| Shop | 60% |\n\nIn a group.\n\n"
        "### Notes\n\nSay it slowly."
    )


def test_a_workbook_keeps_sheets_merged_cells_and_formats(tmp_path: Path) -> None:
    book = Workbook()
    sheet: Any = book.active
    sheet.title = "Prices"
    for row in [["Price list"], [], ["Plan", "Price", "Tax"], ["Solo", 9.5, 0.19], ["Team", None, 0.07]]:
        sheet.append(row)
    sheet.merge_cells("B4:B5")
    sheet["B4"].number_format = '0.00 "€"'
    sheet["C4"].number_format = sheet["C5"].number_format = "0%"
    book.create_sheet("Empty")
    other: Any = book.create_sheet("Notes")
    other.append(["Only a note."])
    book.create_sheet("Secret").sheet_state = "hidden"
    book.save(tmp_path / "a.xlsx")
    assert read(tmp_path / "a.xlsx").text == (
        "## Prices\n\nPrice list\n\n| Plan | Price | Tax |\n|---|---|---|\n| Solo | 9.50 € | 19% |\n"
        "| Team | 9.50 € | 7% |\n\n## Notes\n\nOnly a note."
    )


def test_a_workbook_shows_its_header_groups_and_values_as_it_does_on_screen(tmp_path: Path) -> None:
    book = Workbook()
    sheet: Any = book.active
    sheet.title = "Fees"
    for row in [
        ["Plan", 2025, None, "Secret"],
        [None, "Fee", "Share", "x"],
        ["Home", None, None, None],
        ["Solo", 7, 0.125, "x"],
        ["Duo", timedelta(hours=38), None, "x"],
        ["Gone", 1, 1, "x"],
    ]:
        sheet.append(row)
    sheet.merge_cells("B1:C1")
    sheet.merge_cells("A1:A2")
    for cell in ("A1", "B1", "D1", "B2", "C2", "D2", "A3"):
        sheet[cell].font = Font(bold=True)
    sheet["B4"].number_format, sheet["C4"].number_format = "000", "0.0%"
    sheet["C5"] = "=1+1"
    sheet.row_dimensions[6].hidden = sheet.column_dimensions["D"].hidden = True
    book.save(tmp_path / "a.xlsx")
    part, note = READERS[".xlsx"](tmp_path / "a.xlsx")
    assert isinstance(part, Part)
    assert part.content.text == (
        "## Fees\n\n|  | Plan | 2025 Fee | 2025 Share |\n|---|---|---|---|\n| Home | Solo | 007 | 12.5% |\n"
        "| Home | Duo | 38:00 |  |"
    )
    assert isinstance(note, Note)
    assert "a formula without a value" in note.message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "Plan;Price\nSolo;9\nTeam;29,5\n"),
        ("a.tsv", 'Plan\tPrice\nSolo\t9\n"Team"\t"29,5"\n'),
        ("a.csv", "\ufeffPlan;Price\r\nSolo;9\r\nTeam;29,5\r\n"),
        ("a.csv", 'sep=;\nPlan;Price\nSolo;9\n"Team";29,5\n'),
    ],
)
def test_separated_values_are_a_table(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read(tmp_path / name).text == "| Plan | Price |\n|---|---|\n| Solo | 9 |\n| Team | 29,5 |"


def test_lines_above_separated_values_and_breaks_in_a_cell_keep_the_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        'Report of May;;\n\nCity;Sales;Note\nBonn;12;"one\ntwo; three"\nRome;9;\n'
    )
    assert read(tmp_path / "a.csv").text == (
        "Report of May\n\n| City | Sales | Note |\n|---|---|---|\n"
        "| Bonn | 12 | one two; three |\n| Rome | 9 |  |"
    )


def test_the_attachments_of_a_mail_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(
        b"From: ann@example.com\r\nSubject: Pump\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
        b"--x\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        b"It is gr=C3=BCn and lon=\r\nger.\r\n"
        b"--x\r\nContent-Type: application/pdf\r\n"
        b"Content-Disposition: attachment; filename*=utf-8''M%C3%A4rz.pdf\r\n\r\nx\r\n"
        b"--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: Order\r\n\r\nSixty.\r\n--x--\r\n"
    )
    text = read(tmp_path / "a.eml").text
    assert "| Attachments | März.pdf, Order |" in text
    assert text.endswith("It is grün and longer.")


def test_a_mail_keeps_headers_and_text(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(
        b"From: Ann <ann@example.com>\r\nTo: bob@example.com\r\nSubject: =?utf-8?q?Pumpe_gr=C3=BCn?=\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n"
        b"--x\r\nContent-Type: text/plain\r\n\r\nplain\r\n"
        b"--x\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n<p>It is gr\xfcn.</p>\r\n--x--\r\n"
    )
    content = read(tmp_path / "a.eml")
    assert content.title == "Pumpe grün"
    assert content.text.startswith("# Pumpe grün\n\n")
    assert "| From | Ann <ann@example.com> |" in content.text
    assert content.text.endswith("It is grün.")


def test_an_e_book_keeps_the_order_of_its_chapters(tmp_path: Path) -> None:
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="in/book.opf"/></rootfiles></container>'
    )
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf"><metadata>'
        '<t:title xmlns:t="http://purl.org/dc/elements/1.1/">The book</t:title></metadata>'
        '<manifest><item id="b" href="b.xhtml"/>'
        '<item id="a" href="sub/a%20a.xhtml"/><item id="n" href="n.xhtml" properties="nav"/>'
        '</manifest><spine><itemref idref="n"/><itemref idref="a"/><itemref idref="b"/></spine></package>'
    )
    members = {"META-INF/container.xml": container, "in/book.opf": package}
    pages = {
        "in/b.xhtml": "<head><title/></head><h1>Two</h1><aside>A note.</aside>",
        "in/sub/a a.xhtml": "<h1>One</h1><p>Text.</p>",
        "in/n.xhtml": "<h1>Contents</h1>",
    }
    content = read(archive(tmp_path / "a.epub", **members, **pages))
    assert (content.title, content.text) == (
        "The book",
        "# One\n\nText.\n\n# Two\n\nA note.",
    )


@pytest.mark.parametrize("suffix", [".docx", ".pptx", ".xlsx", ".epub"])
def test_a_harmful_or_damaged_archive_is_named_with_a_remedy(tmp_path: Path, suffix: str) -> None:
    def told(path: Path) -> str:
        with pytest.raises(UnreadableError) as error:
            list(READERS[suffix](path))
        return str(error.value)

    path = tmp_path / f"a{suffix}"
    for content in (b"", b"no archive", b"PK\x03\x04 cut"):
        path.write_bytes(content)
        assert "damaged" in told(path)
    path.write_bytes(b"\xd0\xcf\x11\xe0 old or encrypted")
    assert "password" in told(path)
    archive(path, **{"a.xml": "<a/>"})
    assert "damaged" in told(path)
    archive(path, **{"bomb.xml": "\0" * 100_000_000})
    assert "unpack" in told(path)


def test_a_missing_extra_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.ingestion.office.find_spec", lambda _: None)
    with pytest.raises(UnreadableError, match=r"kotae\[office\]"):
        list(READERS[".docx"](word(tmp_path / "a.docx", "")))


def test_a_file_that_takes_too_long_or_too_much_costs_only_itself(tmp_path: Path) -> None:
    good = tmp_path / "a.html"
    good.write_text("<p>It turns.</p>")
    slow = tmp_path / "b.html"
    slow.write_text("<p>word " * 200_000)
    with LimitedReader(time_s=0.05) as reader, pytest.raises(UnreadableError, match="longer than"):
        reader.read(slow)
    with LimitedReader() as reader:
        for _ in range(2):
            (part,) = reader.read(good)
            assert isinstance(part, Part)
            assert part.content.text == "It turns."
        with pytest.raises(OSError, match="No such file"):
            reader.read(tmp_path / "gone.html")
