"""Reads files in a child process whose memory and time are bounded.

Formats that others define can be made to take either without end. A child that does is ended, its file is
named, and the next file gets a new child.
"""

import contextlib
import multiprocessing
import resource
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.ingestion.formats import READERS
from streams.ingestion.parts import Note, Part, UnreadableError

TIME_S = 120.0
"""The longest that one file may take."""

MEMORY = 2 * 1024**3
"""Bytes of memory that a child may ask for."""

STARTING_S = 60.0
FREE_KINDS = frozenset({".txt", ".text", ".md", ".markdown", ".jsonl", ".ndjson"})
"""Kinds that need no bounds: they are read as they stand."""

Found = Part | Note | UnreadableError


class LimitedReader:
    """A context manager that keeps one child. Use it from one thread at a time."""

    def __init__(self, time_s: float = TIME_S, memory: int = MEMORY) -> None:
        self._time_s = time_s
        self._memory = memory
        self._child: SpawnProcess | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def read(self, path: Path) -> Sequence[Found]:
        """Return what a file holds.

        Raises:
            UnreadableError: it took too long or too much memory, besides what its reader raises.
        """
        pipe = self._pipe or self._start()
        try:
            pipe.send(path)
            if not pipe.poll(self._time_s):
                self._end()
                raise UnreadableError(
                    f"took longer than {self._time_s:g} s to read: split it, or save it again"
                )
            found: Sequence[Found] | OSError | MemoryError = pipe.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            found = MemoryError()
        if isinstance(found, MemoryError):
            # What it had asked for may be left, and the next file must not pay for that.
            self._end()
            raise UnreadableError(
                f"needs more than {self._memory // 1_048_576:,} MB to read: split it, or save it again"
            )
        if isinstance(found, OSError):
            raise found
        return found

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._child = context.Process(target=_serve, args=(theirs, self._memory), daemon=True)
        self._child.start()
        theirs.close()
        if not self._pipe.poll(STARTING_S):
            self._end()
            raise UnreadableError("cannot be read now: the process that reads it does not start")
        self._pipe.recv()
        return self._pipe

    def _end(self) -> None:
        child, self._child = self._child, None
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()
        if child is not None:
            child.kill()
            child.join()
            child.close()


def _serve(pipe: Connection, memory: int) -> None:
    with contextlib.suppress(ValueError, OSError):  # not every system knows this limit
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    pipe.send(None)
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            pipe.send(_read(pipe.recv()))


def _read(path: Path) -> Sequence[Found] | OSError | MemoryError:
    try:
        return list(READERS[path.suffix.lower()](path))
    except UnreadableError as error:
        return [error]
    except (OSError, MemoryError) as error:
        return error
    except RecursionError:
        return [UnreadableError("nests too deeply: save it again")]
