"""The real programs as child processes, for acceptance tests and benchmarks."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without its own settings, and with those given."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("KOTAE_")}
    return inherited | {"PYTHONUNBUFFERED": "1"} | settings


async def eventually(condition: Callable[[], object], limit_s: float, what: str) -> None:
    """Poll until the condition is true; TimeoutError naming `what` after `limit_s`."""
    until = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {limit_s} s: {what}")
        await asyncio.sleep(0.02)


class Program:
    """`python -m …` in its own process group, its output kept in a file."""

    def __init__(self, arguments: list[str], env: Mapping[str, str], log: Path) -> None:
        self.log = log
        self._output: IO[bytes] = log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    async def printed(self, text: str, limit_s: float = 60) -> None:
        """Wait for a text in the output; a program that ends before fails the wait."""

        def told() -> bool:
            if self.process.poll() is not None and text not in self.output:
                raise RuntimeError(f"ended with {self.process.returncode}:\n{self.output}")
            return text in self.output

        await eventually(told, limit_s, f"{text!r} in {self.log}")

    async def answers_http(self, url: str, limit_s: float = 60) -> None:
        """Wait for a 200 at `url`."""

        def well() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"ended with {self.process.returncode}:\n{self.output}")
            try:
                with urllib.request.urlopen(url, timeout=1) as response:
                    return bool(response.status == 200)
            except (urllib.error.URLError, OSError):
                return False

        await eventually(well, limit_s, f"{url} answers")

    async def stop(self, limit_s: float = 40) -> int:
        """SIGTERM and the exit code; SIGKILL to its whole group after `limit_s`."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(self.process.wait, limit_s)
            except subprocess.TimeoutExpired:
                self.kill()
        self._output.close()
        return self.process.wait()

    def kill(self) -> None:
        """SIGKILL to the process and to whatever it started in its group."""
        if self.process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()
