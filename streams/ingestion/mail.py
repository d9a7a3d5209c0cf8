"""Reads a mail as Markdown: its headers, then its text; of a mail with several forms the plainest one."""

from collections.abc import Iterator
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

from agents.documents.html import html_to_markdown
from agents.documents.tables import write_table
from streams.ingestion.encodings import decoded
from streams.ingestion.parts import Part, UnreadableError, whole
from streams.ingestion.texts import contents

_SHOWN = ("From", "To", "Cc", "Date")


def read_mail(path: Path) -> Iterator[Part | UnreadableError]:
    """Read a mail; its attachments are named, not read."""
    message = BytesParser(_class=EmailMessage, policy=policy.default).parsebytes(contents(path))
    subject = _header(message, "Subject")
    body = message.get_body(("html", "plain")) if message.keys() else None
    if not isinstance(body, EmailMessage):
        raise UnreadableError("is not a mail, or has no text")
    rows = [(name, value) for name in _SHOWN if (value := _header(message, name))]
    attached = [name for part in message.iter_attachments() if (name := _name(part))]
    if attached:
        rows.append(("Attachments", ", ".join(attached)))
    parts = [f"# {subject}" if subject else "", write_table((), rows), _text(body)]
    if not parts[2].strip():
        raise UnreadableError("has no text")
    yield whole("\n\n".join(part for part in parts if part), subject or path.stem)


def _header(message: EmailMessage, name: str) -> str:
    try:
        return " ".join(str(message.get(name, "")).split())
    except Exception:  # noqa: BLE001 - the parser raises anything on a header that is none
        return ""


def _name(part: EmailMessage) -> str:
    """Return the name of an attachment; of a mail its subject."""
    if named := part.get_filename():
        return named
    inner = part.get_payload() if part.get_content_type() == "message/rfc822" else None
    first = inner[0] if isinstance(inner, list) and inner else None
    return _header(first, "Subject") if isinstance(first, EmailMessage) else ""


def _text(body: EmailMessage) -> str:
    raw = body.get_payload(decode=True)
    raw = raw if isinstance(raw, bytes) else b""
    page = body.get_content_subtype() == "html"
    charset = body.get_content_charset() or ""
    try:
        text = raw.decode(charset) if charset else decoded(raw, page=page)
    except (LookupError, UnicodeDecodeError):
        text = decoded(raw, page=page)
    return html_to_markdown(text).text if page else text.replace("\r\n", "\n").strip()
