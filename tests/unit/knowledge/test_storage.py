"""Directories that belong to one process, and the positions saved in them."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from agents.knowledge import storage
from agents.knowledge.index import Positions
from agents.knowledge.saved import read_positions, write_positions


@pytest.fixture(autouse=True)
def _own_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_processes_that_share_a_path_have_a_directory_each(tmp_path: Path) -> None:
    first = storage.persistent(str(tmp_path / "kept"))
    second = storage.persistent(str(tmp_path / "kept"))
    assert [first.path.name, second.path.name] == ["0", "1"]
    first.release()
    third = storage.persistent(str(tmp_path / "kept"))
    assert third.path == first.path
    second.release()
    third.release()
    assert first.path.exists()


def test_releasing_a_temporary_directory_removes_it() -> None:
    directory = storage.temporary()
    (directory.path / "file").write_text("x")
    directory.release()
    assert not directory.path.exists()


def test_only_directories_of_killed_processes_are_removed(tmp_path: Path) -> None:
    program = (
        "import sys, tempfile; tempfile.tempdir = sys.argv[1]\n"
        "from agents.knowledge import storage; print(storage.temporary().path, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        theirs = Path(process.stdout.readline().strip())
        mine = storage.temporary()
        assert theirs.exists()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    other = storage.temporary()
    assert not theirs.exists()
    assert mine.path.exists()
    mine.release()
    other.release()


def test_clearing_leaves_the_lock(tmp_path: Path) -> None:
    directory = storage.persistent(str(tmp_path))
    (directory.path / "shard").mkdir()
    (directory.path / "shard" / "x").write_text("x")
    (directory.path / "y").write_text("y")
    directory.clear()
    assert [entry.name for entry in directory.path.iterdir()] == ["lock"]
    directory.sync()
    directory.release()


class TestPositions:
    def test_written_positions_are_read_back(self, tmp_path: Path) -> None:
        positions = Positions("documents", {0: 12, 3: 0}, 1_700_000_000.5)
        write_positions(tmp_path, "1/", Positions("documents", {}, 0.0))
        write_positions(tmp_path, "1/", positions, 7)
        assert read_positions(tmp_path, "1/") == (positions, 7)
        assert [path.name for path in tmp_path.iterdir()] == ["positions.json"]

    def test_missing_broken_or_other_schemes_positions_are_ignored(self, tmp_path: Path) -> None:
        assert read_positions(tmp_path, "1/") == (None, 0)
        write_positions(tmp_path, "1/", Positions("documents", {0: 12}, 1.0))
        assert read_positions(tmp_path, "2/") == (None, 0)
        (tmp_path / "positions.json").write_text('{"scheme": "1/", "off')
        assert read_positions(tmp_path, "1/") == (None, 0)
