"""Child processes that cannot outlive this one, and the ports they listen on."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from streams.settings.errors import OperatorError

_TETHER = """
import ctypes, os, sys
PR_SET_PDEATHSIG, SIGKILL = 1, 9
if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) or os.getppid() != int(sys.argv[1]):
    sys.exit("the parent process is gone")
os.execvp(sys.argv[2], sys.argv[2:])
"""


def tethered(command: Sequence[str]) -> list[str]:
    """Return the command wrapped so that the kernel kills it when this process dies, even by SIGKILL.

    A short Python program sets the parent-death signal and becomes the command, with the same process id.
    Start it from the main thread: the kernel watches the *thread* that made the child. Only Linux can do
    this; elsewhere the command is returned as it is, and outlives a killed parent.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _TETHER, str(os.getpid()), *command]


class Child:
    """One child process, in its own session: a Ctrl-C at the terminal reaches only the parent.

    It belongs to no event loop, so that one loop can start it and another one stop it.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        output: IO[bytes] | None = None,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - the commands are ours
            tethered(command),
            stdin=subprocess.DEVNULL,
            stdout=output if output is not None else subprocess.DEVNULL,
            stderr=subprocess.STDOUT if output is not None else subprocess.DEVNULL,
            start_new_session=True,
            cwd=directory,
            env=None if environment is None else dict(environment),
        )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code: None while it runs, negative for the signal that ended it."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if the process still runs."""
        self._process.send_signal(number)

    async def wait(self) -> int:
        """Wait until it has ended. Return its exit code."""
        while (code := self._process.poll()) is None:  # noqa: ASYNC110 - asyncio's own children belong to a loop
            await asyncio.sleep(0.02)
        return code

    async def stop(self, patience_s: float = 10.0) -> int:
        """Send SIGTERM, and SIGKILL if it has not ended within `patience_s`. Return its exit code."""
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(patience_s):
                return await self.wait()
        except TimeoutError:
            return await self.kill()

    async def kill(self) -> int:
        """Send SIGKILL. Return its exit code."""
        self.signal(signal.SIGKILL)
        return await self.wait()


async def run_to_end(command: Sequence[str], *, output: IO[bytes], directory: Path | None = None) -> int:
    """Run a command to its end. Return its exit code. Cancelling kills it."""
    child = Child(command, output=output, directory=directory)
    try:
        return await child.wait()
    except asyncio.CancelledError:
        await child.kill()
        raise


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def require_free_port(port: int, setting: str) -> None:
    """Check that a server could listen on the loopback port.

    Raises:
        OperatorError: another process listens there; the message names `setting`, which chooses the port.
    """
    with socket.socket() as probe:
        # With the option that servers set: a port in TIME_WAIT is free, a port with a listener is not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise OperatorError(
                f"port {port} is taken ({error.strerror}): stop the process that listens there, or choose "
                f"another port with {setting}"
            ) from error
