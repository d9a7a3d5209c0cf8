"""`kotae worker`."""

import asyncio
import gc
import sys
from collections.abc import Callable

import click

from streams.cli.context import CommandContext
from streams.settings.errors import CannotStartError, OperatorError, SettingsError

PORT_MAX = 65_535


@click.command()
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    help="Worker processes to keep running; default: KOTAE_WORKER__PROCESSES.",
)
@click.option("--index", type=int, hidden=True, help="Which of several processes this is.")
@click.pass_obj
def command(context: CommandContext, processes: int | None, index: int | None) -> int:
    """Answer questions from Kafka until told to stop.

    SIGTERM or Ctrl-C finishes what can finish within KOTAE_WORKER__GRACE_S and leaves the group; a second
    one leaves at once. The exit code is 1 when an answer could not be published, 3 when the worker's consumer
    is stuck and a new one does not help: it is to be started again.

    Several processes serve /metrics and /health on ports of their own, from KOTAE_WORKER__HTTP_PORT upwards.
    One that crashes or is stuck is started again; one that cannot start at all ends all of them.
    """
    # Imported here: it takes a while, which `kotae --help` should not.
    from streams.settings.secrets import secrets_of  # noqa: PLC0415 - as above
    from streams.telemetry.logs import Logging  # noqa: PLC0415 - as above

    settings, environ = context.settings, context.environ
    count = settings.worker.processes if processes is None else processes
    fields = {} if index is None else {"worker": index}
    with Logging(secrets=secrets_of(settings, environ), fields=fields) as written:
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
        worker = build_worker(context.settings, context.environ, lines_dropped=lines_dropped)
        spare_the_collector()
        return await worker.run()

    return asyncio.run(run())


def _supervise(context: CommandContext, count: int) -> int:
    from streams.process.processes import Child  # noqa: PLC0415 - only where there are several
    from streams.worker.supervisor import Supervisor  # noqa: PLC0415 - likewise

    port = context.settings.worker.http_port
    if port + count - 1 > PORT_MAX:
        raise SettingsError(
            f"worker.http_port (KOTAE_WORKER__HTTP_PORT) is {port}, which leaves no port for each of {count} "
            f"processes: choose one up to {PORT_MAX - count + 1}"
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
        return await Supervisor(start, count, grace_s=context.settings.worker.grace_s).run()

    return asyncio.run(run())


def spare_the_collector() -> None:
    """Have the garbage collector leave alone what is here by now, and look at the rest less often."""
    # With thousands of questions in flight, the default thresholds have it walk all of them again and
    # again: a third of the engine's time. Each is walked twice, and few at a time: that holds the loop.
    gc.freeze()
    gc.set_threshold(20_000, 2, 1_000)
