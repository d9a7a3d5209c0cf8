"""Which record key holds which document, where that is not the document's own key. Pure.

Others' programs write documents under keys of their own. The record then says which document it is; a record
under the same key replaces it, and a tombstone under that key deletes it.
"""

from collections.abc import Iterator, Mapping

from agents.knowledge.index import DocumentName
from schemas.document import parse_document_key


class Holders:
    """The documents that are held by another key than their own.

    Changes can be tried out in a layer above (`over`), and are kept when the index has them (`settle`).
    """

    def __init__(self, below: "Holders | None" = None) -> None:
        self._below = below
        self._documents: dict[bytes, DocumentName | None] = {}
        self._keys: dict[DocumentName, bytes | None] = {}

    def over(self) -> "Holders":
        """Return a layer above this one."""
        return Holders(self)

    def settle(self, above: "Holders") -> None:
        """Take over the changes of a layer above."""
        self._documents |= above._documents
        self._keys |= above._keys
        if self._below is None:  # nothing below needs to be hidden
            for key in [key for key, name in above._documents.items() if name is None]:
                del self._documents[key]
            for name in [name for name, key in above._keys.items() if key is None]:
                del self._keys[name]

    def restore(self, held: Mapping[DocumentName, str]) -> None:
        """Begin with what `held` of another process told."""
        self._documents.clear()
        self._keys.clear()
        for name, key in held.items():
            self._hold(key.encode("latin-1"), name)

    def held(self) -> Iterator[tuple[DocumentName, str]]:
        """Every document that another key holds, with that key, of which each byte is a character."""
        for name, key in self._keys.items():
            if key is not None:
                yield name, key.decode("latin-1")

    def key_of(self, name: DocumentName) -> bytes | None:
        """Return the key that holds a document; None: its own."""
        if name in self._keys or self._below is None:
            return self._keys.get(name)
        return self._below.key_of(name)

    def put(self, key: bytes | None, name: DocumentName) -> DocumentName | None:
        """Note that a record under `key` says `name`; return the document that it replaces, if another."""
        before = self._held_by(key)
        earlier = self.key_of(name)
        if earlier is not None:
            self._documents[earlier] = None
        if key is not None and before != name and self._documents_of(key) is not None:
            self._documents[key] = None
        if before is not None and before != name:
            self._keys[before] = None
        if key is None or _named(key) == name:
            self._keys[name] = None
        else:
            self._hold(key, name)
        return before if before != name else None

    def remove(self, key: bytes | None) -> DocumentName:
        """Note a tombstone; return the document that it deletes.

        Raises:
            ValueError: the key holds no document, and does not name one.
        """
        if key is None:
            raise ValueError("neither a key nor a value")
        name = self._held_by(key)
        if name is None:
            named = parse_document_key(key)
            raise ValueError(f"a tombstone, but another key holds document {named[1]!r} of {named[0]!r}")
        self._documents[key] = None
        self._keys[name] = None
        return name

    def _held_by(self, key: bytes | None) -> DocumentName | None:
        if key is None:
            return None
        name = self._documents_of(key)
        if name is not None:
            return name
        named = _named(key)
        return named if named is not None and self.key_of(named) is None else None

    def _documents_of(self, key: bytes) -> DocumentName | None:
        if key in self._documents or self._below is None:
            return self._documents.get(key)
        return self._below._documents_of(key)

    def _hold(self, key: bytes, name: DocumentName) -> None:
        self._documents[key] = name
        self._keys[name] = key


def _named(key: bytes) -> DocumentName | None:
    """Return the document that a key names; None: it has another form."""
    try:
        return parse_document_key(key)
    except ValueError:
        return None
