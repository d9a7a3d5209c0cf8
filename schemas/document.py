"""The message on the `documents` topic, and its key."""

import re
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote

from msgspec import Meta, Struct

_OTHER_FORM = re.compile(rb"[\x00-\x1f\"{\[]")


DocumentFormat = Literal["", "text", "markdown", "html"]


class Document(Struct, frozen=True, kw_only=True):
    """A text that answers may cite. A tombstone (null value) under the same key deletes it.

    `format` says how to read `text`: "text" (only blank lines divide it), "markdown" or "html"; empty: by its
    look.
    """

    id: Annotated[str, Meta(min_length=1, max_length=512)]
    tenant: Annotated[str, Meta(min_length=1, max_length=128)] = "default"
    title: str = ""
    source: str = ""
    text: str
    format: DocumentFormat = ""
    metadata: dict[str, Any] = {}


def document_key(tenant: str, document_id: str) -> bytes:
    """Return the record key `<tenant>/<document id>`, each percent-encoded."""
    return f"{quote(tenant, safe='')}/{quote(document_id, safe='')}".encode()


def parse_document_key(key: bytes) -> tuple[str, str]:
    """Return the (tenant, document id) of a record key; raise ValueError if it is none.

    JSON (`"acme/a1"`) and keys of a schema registry (a zero byte first) are other forms: `document_key`
    encodes the characters with which they begin.
    """
    if not _OTHER_FORM.match(key):
        try:
            tenant, _, document_id = key.decode().partition("/")
        except UnicodeDecodeError:
            tenant = document_id = ""
        if tenant and document_id:
            return unquote(tenant), unquote(document_id)
    raise ValueError(f"not a document key: {key!r} (expected <tenant>/<document id>)")
