"""`kotae worker`."""

import asyncio
import gc

import click

from streams.cli.context import CommandContext


@click.command()
@click.pass_obj
def command(context: CommandContext) -> int:
    """Answer questions from Kafka until told to stop.

    SIGTERM or Ctrl-C finishes what can finish within KOTAE_WORKER__GRACE_S and leaves the group; a second
    one leaves at once. The exit code is 1 when an answer could not be published.
    """
    # Imported here: they take a second, which `kotae --help` should not.
    from streams.assembly import build_worker  # noqa: PLC0415
    from streams.telemetry.logs import Logging, secrets_of  # noqa: PLC0415

    settings, environ = context.settings, context.environ

    with Logging(secrets=secrets_of(settings, environ)) as written:

        async def run() -> int:
            worker = build_worker(settings, environ, lines_dropped=lambda: written.dropped)
            spare_the_collector()
            return await worker.run()

        return asyncio.run(run())


def spare_the_collector() -> None:
    """Have the garbage collector leave alone what is here by now, and look at the rest less often."""
    # With thousands of questions in flight, the default thresholds have it walk all of them again and
    # again: a third of the engine's time.
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
