"""`kotae worker`."""

import asyncio
import gc
import logging
import sys
from collections.abc import Callable

import click

from streams.cli.context import CommandContext
from streams.settings.errors import CannotStartError, OperatorError, SettingsError

PORT_MAX = 65_535

log = logging.getLogger(__name__)


@click.command()
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    help="Worker processes to keep running; default: KOTAE_WORKER__PROCESSES.",
)
@click.option("--index", type=int, hidden=True, help="This process's number among several.")
@click.pass_obj
def command(context: CommandContext, processes: int | None, index: int | None) -> int:
    """Answer questions from Kafka until told to stop.

    On SIGTERM or Ctrl-C the worker takes no more questions, finishes the running ones within
    KOTAE_WORKER__GRACE_S and leaves the group; a second signal makes it leave at once. The exit code is 1 if
    an outcome could not be published, and 3 if the consumer is stuck and a new one did not help: start the
    worker again.

    With several processes, each serves /metrics and /health on a port of its own, counted from
    KOTAE_WORKER__HTTP_PORT. A process that crashes or is stuck is restarted. If one cannot start at all, all
    of them end.
    """
    # Imported here, because they take a while that `kotae --help` should not take.
    from streams.settings.secrets import secrets_of  # noqa: PLC0415 - as above
    from streams.telemetry.logs import Logging  # noqa: PLC0415 - as above

    loaded = context.loaded
    settings, environ = loaded.settings, loaded.environ
    count = settings.worker.processes if processes is None else processes
    fields = {} if index is None else {"worker": index}
    with Logging(secrets=secrets_of(settings, environ), fields=fields) as written:
        for warning in loaded.warnings:
            log.warning("%s", warning)
        if count > 1:
            return _supervise(context, count)
        try:
            return _answer(context, lambda: written.dropped)
        except SettingsError:
            raise
        except OperatorError as error:
            if index is None:
                raise
            raise CannotStartError(f"worker {index}: {error}") from error


def _answer(context: CommandContext, lines_dropped: Callable[[], float]) -> int:
    from streams.assembly.worker import build_worker  # noqa: PLC0415 - it takes a second, and a supervisor needs none

    async def run() -> int:
        worker = build_worker(context.loaded.settings, context.environ, lines_dropped=lines_dropped)
        spare_the_collector()
        return await worker.run()

    return asyncio.run(run())


def _supervise(context: CommandContext, count: int) -> int:
    from streams.process.processes import Child  # noqa: PLC0415 - only where there are several
    from streams.worker.supervisor import Supervisor  # noqa: PLC0415 - likewise

    port = context.loaded.settings.worker.http_port
    if port + count - 1 > PORT_MAX:
        raise SettingsError(
            f"worker.http_port (KOTAE_WORKER__HTTP_PORT) is {port}, which is too high for {count} processes "
            f"with a port each: it must be at most {PORT_MAX - count + 1}"
        )
    config = [] if context.config is None else ["--config", str(context.config)]
    kotae = [sys.executable, "-m", "streams", *config]

    def start(index: int) -> Child:
        return Child(
            [*kotae, "worker", "--processes", "1", "--index", str(index)],
            output=sys.stderr.buffer,
            environment={
                **context.environ,
                "KOTAE_WORKER__HTTP_PORT": str(port + index if port else 0),
            },
        )

    async def run() -> int:
        return await Supervisor(start, count, grace_s=context.loaded.settings.worker.grace_s).run()

    return asyncio.run(run())


def spare_the_collector() -> None:
    """Make the garbage collector skip the objects that exist now, and examine later ones less often."""
    # With the default thresholds and thousands of questions in flight, the collector walks all of them again
    # and again: a third of the engine's time. Now it walks each twice, few at a time: a walk holds the loop.
    gc.freeze()
    gc.set_threshold(20_000, 2, 1_000)
