"""The whole system, started by its own commands as the README tells a new user to."""

import asyncio
import json
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import Topics
from tests.support.system import ROOT, Program, environment, free_port

CANARY = "canary-7f3a91c2"
"""A secret: it must appear in no output."""


@dataclass
class System:
    """A running system and how to talk to it."""

    folder: Path
    env: dict[str, str]
    status: str
    topics: Topics
    worker: Program

    @property
    def bootstrap(self) -> str:
        return self.env["KOTAE_KAFKA__BOOTSTRAP_SERVERS"]

    def kotae(self, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        return kotae(*arguments, env=self.env | settings)

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"{self.status}{path}", timeout=5) as response:
            text: str = response.read().decode()
            return text

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self.get("/state"))
        return state


def kotae(
    *arguments: str, env: Mapping[str, str], directory: Path = ROOT
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "streams", *arguments],
        cwd=directory,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


async def start_worker(folder: Path, env: Mapping[str, str], *options: str) -> tuple[Program, str]:
    """A worker that is ready, and the address of its status."""
    port = free_port()
    log = folder / f"worker-{port}.log"
    worker = Program(["streams", *options, "worker"], {**env, "KOTAE_WORKER__HTTP_PORT": str(port)}, log)
    await worker.answers_http(f"http://127.0.0.1:{port}/health/ready")
    return worker, f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def system(kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("system")
    prefix = f"accept-{uuid.uuid4().hex[:8]}."
    model_port = free_port()
    env = environment(
        KOTAE_KAFKA__BOOTSTRAP_SERVERS=kafka_bootstrap,
        KOTAE_KAFKA__TOPIC_PREFIX=prefix,
        KOTAE_KAFKA__REPLY_TOPICS=f"{prefix}replies",
        KOTAE_WORKER__GROUP_ID=f"{prefix}group",
        KOTAE_MODEL__BASE_URL=f"http://127.0.0.1:{model_port}/v1",
        KOTAE_MODEL__API_KEY=CANARY,
    )
    config = folder / "tools.toml"
    config.write_text(
        '[tools.calculator]\npython = "streams.local.demo_tools:calculator"\n'
        '[tools.clock]\npython = "streams.local.demo_tools:clock"\n'
    )
    for arguments in (["topics", "create"], ["ingest", "streams/local/knowledge"]):
        done = kotae(*arguments, env=env)
        assert done.returncode == 0, done.stderr
    model = Program(["streams", "offline-model", "--port", str(model_port)], env, folder / "model.log")
    try:
        asyncio.run(model.answers_http(f"http://127.0.0.1:{model_port}/health"))
        worker, status = asyncio.run(start_worker(folder, env, "--config", str(config)))
        try:
            yield System(folder, env, status, Topics(prefix), worker)
        finally:
            code = asyncio.run(worker.stop())
        assert code == 0, worker.output
    finally:
        asyncio.run(model.stop())
