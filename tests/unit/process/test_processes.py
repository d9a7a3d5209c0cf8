"""Child processes: stopped, killed, and never left behind."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streams.process.processes import Child, free_port, require_free_port, run_to_end, tethered
from streams.settings.errors import OperatorError
from tests.support.system import eventually

ROOT = Path(__file__).parents[3]

PARENT = """
import sys, time
from streams.process.processes import Child
child = Child([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def start_parent() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, cwd=ROOT)


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
async def test_a_child_does_not_outlive_a_parent_that_is_killed() -> None:
    with start_parent() as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        command = Path(f"/proc/{pid}/cmdline")
        await eventually(lambda: b"prctl" not in command.read_bytes(), 10, "it has become its command")
        assert alive(pid)
        parent.send_signal(signal.SIGKILL)
    await eventually(lambda: not alive(pid), 10, "the child is gone")


async def test_the_exit_code_and_the_output_come_through(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w+b") as output:
        code = await run_to_end([sys.executable, "-c", "print('hello'); exit(3)"], output=output)
        output.seek(0)
        assert (code, output.read()) == (3, b"hello\n")


async def test_stop_lets_the_child_end_by_itself(tmp_path: Path) -> None:
    script = (
        "import signal, time; signal.signal(15, lambda *_: exit(7)); print(1, flush=True); time.sleep(60)"
    )
    with (tmp_path / "out").open("w+b") as output:
        child = Child([sys.executable, "-c", script], output=output)
        await eventually((tmp_path / "out").read_bytes, 10, "it runs")
        assert await child.stop() == 7
    assert child.exit_code == 7


async def test_stop_kills_a_child_that_ignores_sigterm(tmp_path: Path) -> None:
    script = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    with (tmp_path / "out").open("w+b") as output:
        child = Child([sys.executable, "-c", script], output=output)
        await eventually((tmp_path / "out").read_bytes, 10, "it runs")
        assert await child.stop(patience_s=0.1) == -signal.SIGKILL


def test_the_command_is_unchanged_where_the_kernel_has_no_death_signal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert tethered(["java", "-version"]) == ["java", "-version"]


def test_a_missing_program_ends_with_a_failure_that_names_it() -> None:
    result = subprocess.run(tethered(["/no/such/program"]), capture_output=True, check=False)
    assert result.returncode != 0
    assert b"No such file" in result.stderr


async def test_a_taken_port_is_named_with_its_setting() -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(OperatorError, match=f"port {port} is taken .*--port"):
        require_free_port(port, "--port")
    server.close()
    await server.wait_closed()
    require_free_port(port, "--port")
    assert free_port() != 0
