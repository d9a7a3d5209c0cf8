"""`kotae offline-model`."""

import asyncio
import contextlib
import signal

import click

from streams.local.offline_model import DEFAULT_PORT, MODEL, serve_offline_model


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port to listen on; 0: any.",
)
def command(*, host: str, port: int) -> None:
    """Run a stand-in for a model server in the foreground until Ctrl-C.

    It speaks OpenAI's chat completions and generates no text of its own. It answers with the best fitting
    sentences of the given sources, cited, and plans tool calls by matching words, in English and Chinese.
    """
    asyncio.run(_serve(host, port))


async def _serve(host: str, port: int) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stopped.set)
    async with serve_offline_model(host, port) as base_url:
        click.echo(
            f"{MODEL} listens on {base_url} (it extracts sentences: no language model); Ctrl-C stops it"
        )
        await stopped.wait()
