"""Vectors on disk, which the processes of a machine share: a text is embedded once for all of them.

A file of SQLite's in WAL mode: a process that dies leaves it whole. Nothing depends on it: what is missing
or damaged is computed again.

A process claims the texts that it is about to embed. The others leave these to it, and look for the vectors
now and then, until the claim is old: its process may have died. All times are the machine's clock.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

KEPT_MAX = 200_000
"""The most vectors in the file (0.2 GB with 512 numbers): those that came first go first."""

CLAIM_S = 30.0
"""How long the texts that a process has claimed are left to it. Less than 16 of them are claimed at once."""

BUSY_S = 5.0
"""The wait for another process's transaction; they take milliseconds."""

_TABLES = (
    "CREATE TABLE IF NOT EXISTS vectors (digest BLOB UNIQUE NOT NULL, vector BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS claims (digest BLOB PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID",
)
_IN_ONE_QUERY = 500


def digest_of(model: str, text: str) -> bytes:
    """Return the name of a text's vector by a model."""
    return blake2b(f"{len(model)}/{model}/{text}".encode(errors="surrogatepass"), digest_size=16).digest()


class KeptVectors:
    """The file. Every call blocks for milliseconds; one thread at a time calls.

    Raises:
        sqlite3.Error: the file cannot be used. A damaged one is replaced by an empty one when it is opened.
    """

    def __init__(self, path: Path, kept_max: int = KEPT_MAX) -> None:
        self._path = path
        self._kept_max = kept_max
        self._file = self._open()

    def __repr__(self) -> str:
        return f"<KeptVectors {self._path}>"

    def find(self, digests: Sequence[bytes]) -> "dict[bytes, NDArray[float32]]":
        """Return the vectors that are there."""
        import numpy as np  # noqa: PLC0415 - only where vectors are kept

        found: dict[bytes, NDArray[float32]] = {}
        for at in range(0, len(digests), _IN_ONE_QUERY):
            some = digests[at : at + _IN_ONE_QUERY]
            marks = ",".join("?" * len(some))
            query = f"SELECT digest, vector FROM vectors WHERE digest IN ({marks})"  # noqa: S608 - marks alone
            for digest, vector in self._file.execute(query, some):
                found[digest] = np.frombuffer(vector, np.float16).astype(np.float32)
        return found

    def claim(self, digests: Sequence[bytes], now: float) -> set[bytes]:
        """Return those that nobody else embeds, or has embedded; they are this process's for `CLAIM_S`."""
        with self._transaction():
            self._file.execute("DELETE FROM claims WHERE until <= ?", (now,))
            return {
                digest
                for digest in digests
                if self._file.execute(
                    "INSERT OR IGNORE INTO claims SELECT ?, ? "
                    "WHERE NOT EXISTS (SELECT 1 FROM vectors WHERE digest = ?)",
                    (digest, now + CLAIM_S, digest),
                ).rowcount
            }

    def keep(self, vectors: "Mapping[bytes, NDArray[float32]]") -> None:
        """Add vectors, and end the claims on them."""
        import numpy as np  # noqa: PLC0415 - only where vectors are kept

        rows = [(digest, vector.astype(np.float16).tobytes()) for digest, vector in vectors.items()]
        with self._transaction():
            self._file.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
            self._file.execute(
                "DELETE FROM vectors WHERE rowid <= (SELECT max(rowid) FROM vectors) - ?", (self._kept_max,)
            )
        self.release(list(vectors))

    def release(self, digests: Sequence[bytes]) -> None:
        """End claims: the texts are embedded, or could not be."""
        with self._transaction():
            self._file.executemany("DELETE FROM claims WHERE digest = ?", [(digest,) for digest in digests])

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return self._opened()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            for name in (self._path.name, f"{self._path.name}-wal", f"{self._path.name}-shm"):
                self._path.with_name(name).unlink(missing_ok=True)
            return self._opened()

    def _opened(self) -> sqlite3.Connection:
        file = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            file.execute("PRAGMA journal_mode = WAL")
            # A power cut may lose the last vectors, and no more.
            file.execute("PRAGMA synchronous = NORMAL")
            for table in _TABLES:
                file.execute(table)
        except BaseException:
            file.close()
            raise
        return file

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._file.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")
