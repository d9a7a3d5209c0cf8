"""`kotae broker`."""

import asyncio
import signal
from pathlib import Path

import click

from streams.local.broker import LocalBroker
from streams.settings.errors import OperatorError


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=9092,
    show_default=True,
    help="Port to listen on; 0: any free one.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory to keep the topics in; default: a temporary one, removed at the end.",
)
def command(*, port: int, data: Path | None) -> None:
    """Run Kafka in the foreground until Ctrl-C.

    It listens on the loopback interface only. It needs Java 17 or newer. The first start downloads Kafka's
    jars with Maven.
    """
    broker = LocalBroker(port, data.resolve() if data else None, say=lambda line: click.echo(line, err=True))
    asyncio.run(_serve(broker))


async def _serve(broker: LocalBroker) -> None:
    loop, this = asyncio.get_running_loop(), asyncio.current_task()
    assert this is not None  # noqa: S101 - a coroutine always runs in a task
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, this.cancel)
    try:
        async with broker:
            kept = "its data is removed at the end" if broker.temporary else f"its data is in {broker.data}"
            click.echo(f"Kafka listens on {broker.bootstrap_servers} ({kept}); Ctrl-C stops it")
            code = await broker.wait()
            raise OperatorError(f"Kafka stopped by itself with exit code {code}: {broker.last_words()}")
    except asyncio.CancelledError:
        click.echo("Kafka has stopped", err=True)
