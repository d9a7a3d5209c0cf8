"""An OpenAI-compatible embeddings server whose refusals a test scripts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from aiohttp import web

from tests.support.knowledge import MeaningList


class EmbeddingsServer:
    """Embeds by `MeaningList`.

    Attributes:
        status: the status of every response; 200: vectors.
        refuses: maps a word to the status for requests that hold it.
        requests: the texts of each request.
    """

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.refuses: dict[str, int] = {}
        self.requests: list[list[str]] = []

    async def answer(self, request: web.Request) -> web.Response:
        """Answer `POST /v1/embeddings`."""
        texts = orjson.loads(await request.read())["input"]
        self.requests.append(texts)
        refused = [code for word, code in self.refuses.items() if any(word in text for text in texts)]
        status = refused[0] if refused else self.status
        if status != 200:
            return web.json_response({"error": {"message": f"scripted refusal {status}"}}, status=status)
        vectors = await MeaningList().aembed(texts)
        return web.json_response({"data": [{"index": n, "embedding": v} for n, v in enumerate(vectors)]})


@asynccontextmanager
async def running_embeddings() -> AsyncIterator[EmbeddingsServer]:
    """A server that listens, as long as the context lasts."""
    server = EmbeddingsServer()
    application = web.Application()
    application.router.add_post("/v1/embeddings", server.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield server
    finally:
        await runner.cleanup()
