"""The command `kotae`: finds a command's module, and turns its errors into one line and an exit code.

Exit codes: 0, 1 failure, 2 wrong usage or settings, 130 interrupted.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from streams.cli.context import CommandContext
from streams.cli.own_packages import hidden_package
from streams.settings.errors import OperatorError

INTERRUPTED = 130

_COMMANDS = {
    "demo": "Start everything on this machine, ask five questions, show the answers.",
    "worker": "Answer questions from Kafka until told to stop.",
    "ask": "Ask a question over Kafka and print its answer.",
    "ingest": "Add files to the documents that answers rest on.",
    "documents": "Look at the documents, and at those that were skipped.",
    "topics": "Create and list the topics.",
    "offsets": "Show how far the workers are and which questions are incomplete.",
    "dlq": "Look at the questions that failed, and send them back.",
    "broker": "Run Kafka in the foreground, from Maven's jars.",
    "offline-model": "Run a stand-in for a model server, which answers by extraction.",
    "schemas": "Export JSON Schema and AsyncAPI.",
    "check": "Try everything that the settings name once, and say what to do.",
    "config": "Show the settings and where each one was set.",
}


class _LazyGroup(click.Group):
    """Imports a command's module only when the command is run: `--help` must not load Kafka clients."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"streams.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    try:
        click.echo(f"kotae {version('kotae')}")
    except PackageNotFoundError:
        click.echo("kotae (version unknown: the package is not installed)")
    context.exit()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="TOML file with settings; default: the one that KOTAE_CONFIG names.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.pass_context
def kotae(context: click.Context, config: Path | None) -> None:
    """Kotae: questions in from Kafka, cited answers out.

    Settings come from the environment (KOTAE_SECTION__FIELD) or from a TOML file; `kotae config show`
    lists them.
    """
    context.obj = CommandContext(config)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; `arguments`: default, those of the process."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code. A command may return its own code, as an integer."""
    # Before any command is loaded: its imports would fail with a traceback, or half succeed.
    if hidden := hidden_package():
        click.echo(f"kotae: {hidden}", err=True)
        return 1
    try:
        result = kotae.main(
            args=None if arguments is None else list(arguments), prog_name="kotae", standalone_mode=False
        )
        sys.stdout.flush()
    except OperatorError as error:
        click.echo(f"kotae: {error}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        if isinstance(error, click.NoSuchOption) and error.option_name == "--config":
            click.echo("--config comes before the command: kotae --config FILE COMMAND", err=True)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of the output has closed it. The rest must not fail again when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return result if isinstance(result, int) else 0
