"""Files as documents."""

import json
import os
from pathlib import Path

import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from schemas.codec import encode
from schemas.document import Document, document_key
from streams.ingestion.files import Problem, find_files, read_documents, stable_name


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, content: str | bytes) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def one(path: Path, tenant: str | None = None) -> Document:
    (document,) = read_documents(path, tenant)
    assert isinstance(document, Document), document
    return document


def problem(path: Path) -> str:
    (found,) = read_documents(path, None)
    assert isinstance(found, Problem), found
    return str(found)


def pdf(*pages: str, title: str = "", password: str | None = None, algorithm: str = "RC4-128") -> PdfWriter:
    writer = PdfWriter()
    for text in pages:
        page = writer.add_blank_page(width=400, height=400)
        font = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Font"),
                NameObject("/Subtype"): NameObject("/Type1"),
                NameObject("/BaseFont"): NameObject("/Helvetica"),
            }
        )
        fonts = DictionaryObject({NameObject("/F1"): font})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = writer._add_object(content)
    if title:
        writer.add_metadata({"/Title": title})
    if password is not None:
        writer.encrypt(password, owner_password="owner", algorithm=algorithm)
    return writer


class TestText:
    def test_a_file_is_a_document_under_its_path(self) -> None:
        document = one(write("notes/tea.txt", "绿茶。\nGreen tea."))
        assert document == Document(
            id="notes/tea.txt", title="tea", source="notes/tea.txt", text="绿茶。\nGreen tea."
        )

    def test_a_byte_order_mark_is_not_part_of_the_text(self) -> None:
        assert one(write("a.txt", b"\xef\xbb\xbfText.")).text == "Text."
        assert one(write("b.txt", "Text 文.".encode("utf-16"))).text == "Text 文."

    @pytest.mark.parametrize(("content", "says"), [(b"", "empty"), (b" \n", "empty"), (b"caf\xe9", "iconv")])
    def test_a_file_that_is_not_text_is_a_problem_with_its_remedy(self, content: bytes, says: str) -> None:
        path = write("a.txt", content)
        assert problem(path).startswith("a.txt: is ")
        assert says in problem(path)

    def test_the_given_tenant_is_the_documents_tenant(self) -> None:
        assert one(write("a.txt", "x"), "red").tenant == "red"


class TestMarkdown:
    @pytest.mark.parametrize(
        ("text", "title"),
        [
            ("# The title #\n\nText.", "The title"),
            ("Intro.\n\n## Second level\n# First", "Second level"),
            ("The title\n=========\n\nText.", "The title"),
            ("---\ntitle: front\n---\n# Heading\n", "front"),
            ("---\r\nowner: jane\r\n---\r\n# Heading\r\n", "Heading"),
            ("---\ntitle: X\n---\n\nText.", "X"),
            ("Lamp\n---\nIt burns.", "Lamp"),
            ("```sh\n# a comment\n```\n\n# Real\n", "Real"),
            ("#hashtag is no heading", "page"),
            ("# 标题\n\n正文。", "标题"),
            ("## C#", "C#"),
            (f"# a{' ' * 7_000}b{' ' * 7_000}##", "a b"),
            ("# The **bold** one", "The bold one"),
        ],
    )
    def test_the_first_heading_is_the_title(self, text: str, title: str) -> None:
        assert one(write("page.md", text)).title == title


class TestHtml:
    def test_the_visible_text_of_a_page_is_its_text(self) -> None:
        page = """<html><head><title> The
          page </title><style>p {}</style></head><body><nav>Home | About</nav><script>alert(1)</script>
          <!-- a secret --><h1>Heading</h1><p>One <b>bold</b>
          sentence.</p><ul><li>first<li>second</ul>a<br>b<pre>x
  y</pre></body></html>"""
        document = one(write("page.html", page))
        assert document.title == "The page"
        text = document.text.split("\n\n")
        assert text == [
            "# Heading",
            "One bold sentence.",
            "- first\n- second",
            "a\nb",
            "```\nx\n  y\n```",
        ]
        assert document.format == "markdown"

    def test_a_page_is_read_in_the_encoding_that_it_names(self) -> None:
        page = '<meta charset="gb2312"><p>绿茶</p>'.encode("gb2312")
        assert one(write("page.htm", page)).text == "绿茶"

    def test_a_page_with_broken_marks_is_read(self) -> None:
        assert one(write("a.html", "<p>a <![ b> c")).text == "a c"

    def test_any_number_of_blanks_in_a_line_is_kept(self) -> None:
        blanks = " " * 200_000
        page = f"<pre>a{blanks}b\n{blanks}\n\n c</pre>"
        assert one(write("wide.html", page)).text == f"```\na{blanks}b\n{blanks}\n\n c\n```"

    def test_a_deeply_nested_page_is_read_and_an_empty_one_is_a_problem(self) -> None:
        assert one(write("deep.html", "<div>" * 20_000 + "bottom")).text == "bottom"
        assert "empty" in problem(write("none.html", "<script>1</script>"))


class TestJsonLines:
    def test_a_json_line_is_a_document_with_the_fields_that_it_names(self) -> None:
        path = write(
            "set.jsonl",
            '{"text": "One.", "title": "T", "source": "http://s", "metadata": {"a": 1}, "more": []}\n'
            "\n"
            '{"id": "own", "tenant": "blue", "text": "Two."}\n',
        )
        assert list(read_documents(path, None)) == [
            Document(id="set.jsonl#1", title="T", source="http://s", text="One.", metadata={"a": 1}),
            Document(id="own", tenant="blue", source="set.jsonl", text="Two."),
        ]

    def test_a_null_in_a_json_line_is_the_fields_absence(self) -> None:
        fields = ("id", "title", "source", "tenant", "metadata")
        path = write("set.jsonl", "\ufeff" + json.dumps({"text": "One."} | dict.fromkeys(fields)))
        assert one(path) == Document(id="set.jsonl#1", source="set.jsonl", text="One.")

    def test_the_given_tenant_replaces_that_of_every_json_line(self) -> None:
        path = write("set.jsonl", '{"tenant": "blue", "text": "Not for blue."}')
        assert one(path, "red").tenant == "red"

    def test_a_bad_json_line_is_a_problem_and_the_others_are_read(self) -> None:
        lines = [
            "{",
            "[]",
            '{"title": "x"}',
            '{"text": " "}',
            '{"text": 1}',
            '{"text": "x", "id": "%s"}' % ("i" * 513),
        ]
        path = write(
            "set.jsonl",
            "\n".join([*lines, "[" * 9_999, '{"text": "Good."}']).encode() + b'\n{"text": "\xff"}',
        )
        found = list(read_documents(path, None))
        assert [document.id for document in found if isinstance(document, Document)] == ["set.jsonl#8"]
        problems = [str(each) for each in found if isinstance(each, Problem)]
        assert len(problems) == 8
        assert problems[0].startswith("set.jsonl: line 1 ")
        assert "set.jsonl#6" in problems[5]


class TestPdf:
    def test_the_text_of_all_pages_is_the_text(self) -> None:
        path = Path("book.pdf")
        pdf("First page.", "Second page.", title="The book").write(path)
        document = one(path)
        assert document.title == "The book"
        assert document.text == "First page.\n\nSecond page."

    def test_a_pdf_without_a_title_is_named_after_its_file(self) -> None:
        pdf("Text.").write("plain.pdf")
        assert one(Path("plain.pdf")).title == "plain"

    def test_an_unreadable_pdf_is_a_problem_with_its_remedy(self) -> None:
        pdf("Secret.", password="x").write("locked.pdf")
        assert "password" in problem(Path("locked.pdf"))
        pdf("Secret.", password="x", algorithm="AES-256").write("aes.pdf")
        assert "password" in problem(Path("aes.pdf"))
        pdf("").write("scan.pdf")
        assert "OCR" in problem(Path("scan.pdf"))
        for content in (b"", b"no pdf at all", b"%PDF-1.4\n%garbage" + bytes(range(256)) * 9):
            assert "print it to a new PDF" in problem(write("broken.pdf", content))

    def test_a_pdf_that_only_forbids_things_is_read(self) -> None:
        pdf("Open to all.", password="", algorithm="AES-256").write("open.pdf")
        assert one(Path("open.pdf")).text == "Open to all."

    def test_pages_without_text_are_named_and_the_rest_is_read(self) -> None:
        pdf("One.", "", "", "Four.", "").write("mixed.pdf")
        document, note = read_documents(Path("mixed.pdf"), None)
        assert isinstance(document, Document)
        assert document.text == "One.\n\nFour."
        assert isinstance(note, Problem)
        assert note.partial
        assert "pages 2-3 and 5 have no text" in str(note)


class TestFinding:
    def test_directories_are_searched_in_order_without_hidden_ones(self) -> None:
        for name in ("d/b.md", "d/a.TXT", "d/sub/c.html", "d/.git/x.md", "d/.hidden.md", "d/image.png"):
            write(name, "x")
        assert [str(path) for path in find_files([Path("d")])] == ["d/a.TXT", "d/b.md", "d/sub/c.html"]

    def test_a_missing_path_an_unknown_kind_and_an_empty_directory_are_problems(self) -> None:
        write("image.png", "x")
        Path("empty").mkdir()
        found = [str(each) for each in find_files([Path("none.md"), Path("image.png"), Path("empty")])]
        assert found[0] == "none.md: does not exist"
        assert found[1].startswith("image.png: is not of a readable kind (.csv, ")
        assert found[2].startswith("empty: has no file of a readable kind")

    def test_a_file_that_disappears_is_a_problem(self) -> None:
        assert problem(Path("gone.txt")) == "gone.txt: cannot be read: No such file or directory"

    def test_a_file_has_one_name_by_whichever_path_it_is_reached(self, tmp_path: Path) -> None:
        assert stable_name(Path("a/../b/c.md")) == stable_name(tmp_path / "b" / "c.md") == "b/c.md"
        assert stable_name(Path("/elsewhere/c.md")) == "/elsewhere/c.md"


def test_a_file_name_outside_utf_8_is_escaped() -> None:
    names = [os.fsdecode(b"caf%c.txt" % byte) for byte in (0xE8, 0xE9)]
    documents = [one(write(name, "It opens at nine.")) for name in names]
    assert [document.id for document in documents] == ["caf\\udce8.txt", "caf\\udce9.txt"]
    for document in documents:
        assert document_key(document.tenant, document.id)
        assert encode(document)
    (problem,) = read_documents(write(os.fsdecode(b"\xe9.txt"), b""), None)
    assert str(problem).encode() == b"\\udce9.txt: is empty"
