"""The demo's knowledge: handbook and manuals of a fictitious company, in English and Chinese."""

from pathlib import Path

from schemas.document import Document

DIRECTORY = Path(__file__).parent


def read_documents(tenant: str = "default") -> list[Document]:
    """Return every document, ordered by name; a document's id is its file's name without `.md`."""
    return [_document(path, tenant) for path in sorted(DIRECTORY.glob("*.md"))]


def _document(path: Path, tenant: str) -> Document:
    heading, _, body = path.read_text(encoding="utf-8").partition("\n")
    return Document(
        id=path.stem, tenant=tenant, title=heading.removeprefix("# "), source=path.name, text=body.strip()
    )
