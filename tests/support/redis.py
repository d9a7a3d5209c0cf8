"""A real Redis for tests: a container where a Docker engine answers, else the local binary, else a skip."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kafka import docker_answers
from tests.support.system import free_port

IMAGE = "redis:8-alpine"


class RedisServer:
    """One server on a port of its own, which keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        options = f"--port {self.port} --bind 127.0.0.1 --appendonly no --daemonize no".split()
        self._process = subprocess.Popen(
            ["redis-server", *options, "--save", "", "--dir", str(self._folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until_it_answers(self.port)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def until_it_answers(port: int, limit_s: float = 20) -> None:
    until = time.monotonic() + limit_s
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(16).startswith(b"+PONG"):
                    return
        except OSError:
            pass
        if time.monotonic() > until:
            raise TimeoutError(f"no Redis answers on port {port}")
        time.sleep(0.02)


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server for one test, which may stop and kill it: always the local binary."""
    if shutil.which("redis-server") is None:
        pytest.skip("no Redis: there is no redis-server (Debian: apt-get install redis-server)")
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that lives as long as the test run, for tests that only read and write."""
    if docker_answers():
        from testcontainers.core.container import DockerContainer

        port = free_port()
        with DockerContainer(IMAGE).with_bind_ports(6379, port):
            until_it_answers(port, 90)
            yield f"redis://127.0.0.1:{port}/0"
    elif shutil.which("redis-server") is not None:
        server = RedisServer(tmp_path_factory.mktemp("redis"))
        server.start()
        yield server.url
        server.kill()
    else:
        pytest.skip("no Redis: no Docker engine answers, and there is no redis-server (apt-get install it)")
