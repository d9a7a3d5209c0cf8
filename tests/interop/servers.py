"""Real model servers as processes, all with the model of random weights that `tests.interop.build` makes."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

START_S = 180.0
"""LiteLLM takes 16 s on an idle machine."""


@dataclass(frozen=True)
class ModelServer:
    """A server that runs, and in which ways it differs from the others.

    Attributes:
        counts_streams: whether a stream tells its token counts.
        knows_names: whether the model's name is looked at.
        knows_developers: whether instructions may have the role `developer`.
        knows_max_completion_tokens: whether that parameter bounds the reply.
        obeys_tool_choice: whether a tool choice leaves the model no other words.
        interrupts: whether another request breaks a stream off.
        tells_why_no_stream: whether a stream that cannot begin is an error with a reason.
        follows_grammars: whether the parameter `grammar` settles what the model says.
    """

    base_url: str
    counts_streams: bool = True
    knows_names: bool = False
    knows_developers: bool = True
    knows_max_completion_tokens: bool = True
    obeys_tool_choice: bool = False
    follows_grammars: bool = True
    interrupts: bool = False
    tells_why_no_stream: bool = True


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def running(
    name: str, *command: str, port: int, ready: str, env: Mapping[str, str] | None = None, log: Path
) -> AsyncIterator[str]:
    """Run a server until the block ends; its address once it answers at the path `ready`."""
    base_url = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=output, stderr=output, env={**os.environ, **(env or {})}
        )
        try:
            until = time.monotonic() + START_S
            async with aiohttp.ClientSession() as session:
                while not await _answers(session, f"{base_url}{ready}"):
                    if process.returncode is not None or time.monotonic() > until:
                        raise RuntimeError(f"{name} does not run:\n{_end_of(log)}")
                    await asyncio.sleep(0.2)
            yield f"{base_url}/v1"
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(2)) as response:
            return response.status == 200
    except (TimeoutError, aiohttp.ClientError):
        return False


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]


@asynccontextmanager
async def llama_server(built: Path, log: Path) -> AsyncIterator[ModelServer]:
    """llama.cpp's own server."""
    port = free_port()
    command = [sys.executable, "-m", "tests.interop.llama_server", str(built / "random.gguf"), str(port)]
    async with running("llama.cpp's server", *command, port=port, ready="/health", log=log) as url:
        yield ModelServer(url)


@asynccontextmanager
async def llama_cpp_python(built: Path, log: Path) -> AsyncIterator[ModelServer]:
    """The server of llama-cpp-python, on the same library."""
    port = free_port()
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(built / "random.gguf")]
    command += ["--chat_format", "chatml-function-calling", "--host", "127.0.0.1", "--port", str(port)]
    env = {"LLAMA_CPP_LIB_PATH": str(built / "bin")}
    async with running(
        "llama-cpp-python", *command, "--n_ctx", "4096", port=port, ready="/v1/models", env=env, log=log
    ) as url:
        yield ModelServer(
            url,
            counts_streams=False,
            knows_developers=False,
            knows_max_completion_tokens=False,
            obeys_tool_choice=True,
            follows_grammars=False,
            interrupts=True,
            tells_why_no_stream=False,
        )


@asynccontextmanager
async def litellm(behind: ModelServer, config: Path, log: Path) -> AsyncIterator[ModelServer]:
    """LiteLLM's proxy in front of another server."""
    port = free_port()
    _configure(config, behind)
    command = [str(Path(sys.executable).with_name("litellm")), "--config", str(config)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"]
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    async with running("LiteLLM", *command, port=port, ready="/health/liveliness", env=env, log=log) as url:
        yield ModelServer(url, knows_names=True)


def _configure(config: Path, behind: ModelServer) -> None:
    config.write_text(
        "model_list:\n- model_name: tiny\n  litellm_params:\n"
        f"    model: openai/tiny\n    api_base: {behind.base_url}\n    api_key: none\n"
        "litellm_settings:\n  num_retries: 0\n"
    )
