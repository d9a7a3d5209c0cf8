"""The reader of each kind of file."""

from collections.abc import Mapping

from streams.ingestion.archives import read_epub
from streams.ingestion.mail import read_mail
from streams.ingestion.parts import Reader
from streams.ingestion.pdf import read_pdf
from streams.ingestion.sheets import read_xlsx
from streams.ingestion.slides import read_pptx
from streams.ingestion.texts import read_html, read_jsonl, read_markdown, read_table, read_text
from streams.ingestion.word import read_docx

READERS: Mapping[str, Reader] = {
    ".csv": read_table,
    ".docm": read_docx,
    ".docx": read_docx,
    ".eml": read_mail,
    ".epub": read_epub,
    ".htm": read_html,
    ".html": read_html,
    ".jsonl": read_jsonl,
    ".markdown": read_markdown,
    ".md": read_markdown,
    ".ndjson": read_jsonl,
    ".pdf": read_pdf,
    ".pptm": read_pptx,
    ".pptx": read_pptx,
    ".text": read_text,
    ".tsv": read_table,
    ".txt": read_text,
    ".xhtml": read_html,
    ".xlsm": read_xlsx,
    ".xlsx": read_xlsx,
}
"""The reader for each suffix of a file's name, in lower case."""
