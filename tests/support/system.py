"""The real programs as child processes, for acceptance tests and benchmarks."""

import asyncio
import itertools
import os
import random
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from streams.process.processes import Child

ROOT = Path(__file__).parents[2]


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without its own settings, and with those given."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("KOTAE_")}
    return inherited | {"PYTHONUNBUFFERED": "1"} | settings


PORTS = range(12_000, 32_000)
"""Ports below those that the system hands out: one found free stays free until a program listens on it, even
if others ask the system for ports meanwhile. Each process of a test run has its own share of them, and starts
anywhere in it: another process could otherwise hand out a port that is found free here and not bound yet."""
_PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_SHARE = len(PORTS) // _PROCESSES
_OWN = PORTS[_PROCESS * _SHARE : (_PROCESS + 1) * _SHARE]
_START = random.SystemRandom().randrange(len(_OWN))
_next_port = itertools.cycle([*_OWN[_START:], *_OWN[:_START]])


def free_port() -> int:
    """A free port of the loopback interface."""
    return free_ports(1)


def free_ports(count: int) -> int:
    """The first of `count` free ports in a row."""
    while True:
        ports = [next(_next_port) for _ in range(count)]
        if ports[-1] == ports[0] + count - 1 and all(map(_is_free, ports)):
            return ports[0]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


async def eventually(condition: Callable[[], object], limit_s: float, what: str) -> None:
    """Poll until the condition is true; TimeoutError naming `what` after `limit_s`."""
    until = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {limit_s} s: {what}")
        await asyncio.sleep(0.02)


class Program:
    """`python -m …` as a child process, its output kept in a file.

    Args:
        directory: where it runs; modules that lie there come before those of the environment.
    """

    def __init__(
        self, arguments: list[str], env: Mapping[str, str], log: Path, directory: Path = ROOT
    ) -> None:
        self.log = log
        with log.open("wb") as output:
            self._child = Child(
                [sys.executable, "-m", *arguments], output=output, environment=env, directory=directory
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._child.exit_code

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    async def printed(self, text: str, limit_s: float = 60) -> None:
        """Wait for a text in the output; raises if the program ends before."""
        await self._reached(lambda: text in self.output, limit_s, f"{text!r} in {self.log}")

    async def answers_http(self, url: str, limit_s: float = 60) -> None:
        """Wait for a 200 at `url`."""

        def well() -> bool:
            try:
                with urllib.request.urlopen(url, timeout=1) as response:
                    return bool(response.status == 200)
            except (urllib.error.URLError, OSError):
                return False

        # In a thread: the program may need the waiting test's own event loop to become ready.
        until = time.monotonic() + limit_s
        while not await asyncio.to_thread(well):
            self._check_alive()
            if time.monotonic() > until:
                raise TimeoutError(f"not within {limit_s} s: {url} answers")
            await asyncio.sleep(0.02)

    async def ended(self, limit_s: float) -> None:
        """Wait until the program has ended with 0; raises if it ends otherwise or too late."""
        try:
            async with asyncio.timeout(limit_s):
                code = await self._child.wait()
        except BaseException:
            await self.kill()
            raise
        if code:
            raise RuntimeError(f"{self.output}\nended with {code}")

    async def stop(self, limit_s: float = 40) -> int:
        """SIGTERM and the exit code; SIGKILL after `limit_s`."""
        return await self._child.stop(limit_s)

    async def kill(self) -> None:
        """SIGKILL."""
        await self._child.kill()

    async def _reached(self, condition: Callable[[], bool], limit_s: float, what: str) -> None:
        def reached() -> bool:
            over = self._child.exit_code is not None  # its last output comes before that
            if condition():
                return True
            if over:
                self._check_alive()
            return False

        await eventually(reached, limit_s, what)

    def _check_alive(self) -> None:
        if self._child.exit_code is not None:
            raise RuntimeError(f"ended with {self._child.exit_code}:\n{self.output}")
