"""One process of each server for all tests."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.interop.build import folder
from tests.interop.servers import ModelServer, litellm, llama_cpp_python, llama_server

SERVERS = ("llama-server", "llama-cpp-python", "litellm")


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=SERVERS)
async def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ModelServer]:
    built, logs = folder(), tmp_path_factory.mktemp("servers")
    async with AsyncExitStack() as stack:
        if request.param == "llama-cpp-python":
            yield await stack.enter_async_context(llama_cpp_python(built, logs / "llama-cpp-python.log"))
            return
        own = await stack.enter_async_context(llama_server(built, logs / "llama-server.log"))
        if request.param == "litellm":
            own = await stack.enter_async_context(litellm(own, logs / "litellm.yaml", logs / "litellm.log"))
        yield own
