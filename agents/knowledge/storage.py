"""Directories for indexes. A process holds each of its directories by a lock that ends with it."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_LOCK = "lock"
_PREFIX = "kotae-knowledge-"


class Directory:
    """A directory that no other process uses. `release` removes a `temporary` one."""

    def __init__(self, path: Path, lock: int, *, temporary: bool) -> None:
        self.path = path
        self.temporary = temporary
        self._lock = lock

    def __repr__(self) -> str:
        return f"<Directory {self.path}{' temporary' if self.temporary else ''}>"

    def clear(self) -> None:
        """Remove everything in the directory but the lock."""
        for entry in self.path.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != _LOCK:
                entry.unlink()

    def sync(self) -> None:
        """Write every file's pages to disk, mapped ones included. Slow; releases the GIL."""
        for folder, _, names in os.walk(self.path):
            for name in names:
                # The engine may remove files meanwhile.
                with contextlib.suppress(FileNotFoundError), open(os.path.join(folder, name), "rb") as file:
                    os.fsync(file.fileno())

    def release(self) -> None:
        """Leave the directory to other processes."""
        if self.temporary:
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def persistent(base: str) -> Directory:
    """Take the first free directory `<base>/<n>`: processes that share a path have one each.

    Raises:
        OSError: the directory cannot be made or written.
    """
    number = 0
    while True:
        path = Path(base, str(number))
        path.mkdir(parents=True, exist_ok=True)
        lock = _try_lock(path / _LOCK)
        if lock is not None:
            return Directory(path, lock, temporary=False)
        number += 1


def temporary() -> Directory:
    """Make a new temporary directory, and remove those that killed processes left behind."""
    for path in _abandoned():
        shutil.rmtree(path, ignore_errors=True)
    path = Path(tempfile.mkdtemp(prefix=_PREFIX))
    # Locked under another name first: others remove a directory whose lock file is not locked.
    lock = _try_lock(path / f"{_LOCK}.new")
    if lock is None:
        raise OSError(f"{path}: a new directory is locked by another process")
    (path / f"{_LOCK}.new").rename(path / _LOCK)
    return Directory(path, lock, temporary=True)


def _abandoned() -> Iterator[Path]:
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if path.stat().st_uid != os.getuid() or not (path / _LOCK).exists():
                continue
            lock = _try_lock(path / _LOCK)
            if lock is not None:
                os.close(lock)
                yield path


def _try_lock(path: Path) -> int | None:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file
