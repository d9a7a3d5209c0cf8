"""The command line itself: the modules it loads, its error messages, its exit codes."""

import subprocess
import sys

import click
import pytest

import streams.cli.main
from streams.cli.main import kotae, run
from streams.settings.errors import OperatorError

HEAVY = (
    "aiokafka",
    "aiohttp",
    "qdrant_client",
    "qdrant_edge",
    "httpx",
    "rich",
    "msgspec",
    "prometheus_client",
)


@pytest.fixture
def failing(monkeypatch):
    """Make `kotae config` a command that raises the given error, or returns the given value."""

    def install(outcome: object) -> None:
        @click.command()
        def command() -> object:
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        monkeypatch.setattr(kotae, "get_command", lambda _context, _name: command)

    return install


def test_help_names_every_command_and_loads_none(capsys) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for name in streams.cli.main._COMMANDS:
        assert f"  {name} " in shown


def test_help_imports_no_heavy_library() -> None:
    script = (
        "import sys; from streams.cli.main import run; run(['--help']); "
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


UNUSED = ("qdrant_client", "httpx", "rich", "confluent_kafka", "redis")
"""Libraries that a worker with the default settings does not use: each takes time at every start."""


def test_a_worker_imports_no_library_that_it_does_not_use() -> None:
    script = (
        "import sys; import streams.cli.worker; from streams.assembly.answerer import build_answerer; "
        "from streams.assembly.worker import build_worker; from streams.settings.model import Settings; "
        "from streams.telemetry.hook import Hook; build_answerer(Settings(), {}, Hook()); "
        f"print([name for name in {UNUSED!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_the_module_runs_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "streams", "nonsense"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "No such command 'nonsense'" in done.stderr


@pytest.mark.parametrize("name", ["schemas", "config", "topics", "broker"])
def test_every_command_has_help(name: str, capsys) -> None:
    assert run([name, "--help"]) == 0
    assert f"kotae {name}" in capsys.readouterr().out


def test_version(capsys) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("kotae")


@pytest.mark.parametrize(
    ("outcome", "code", "error"),
    [
        (OperatorError("no broker; start one"), 1, "kotae: no broker; start one\n"),
        (KeyboardInterrupt(), 130, "\n"),
        (click.UsageError("what?"), 2, "Error: what?\n"),
        (3, 3, ""),
        (None, 0, ""),
    ],
)
def test_a_commands_result_or_error_becomes_the_exit_code(
    failing, capsys, outcome: object, code: int, error: str
) -> None:
    failing(outcome)
    assert run(["config"]) == code
    shown = capsys.readouterr()
    assert shown.err.endswith(error)
    assert "Traceback" not in shown.err


def test_a_defect_is_raised_with_its_traceback(failing) -> None:
    failing(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        run(["config"])


def test_a_closed_output_pipe_prints_no_error() -> None:
    command = f"set -o pipefail; {sys.executable} -m streams config show --json | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_config_after_the_command_gets_a_hint(capsys) -> None:
    assert run(["config", "show", "--config", "kotae.toml"]) == 2
    assert "kotae --config FILE COMMAND" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([" "], "TEXT must have 1 to 32,768 characters, and not only white space"),
        (["x", "--tenant", ""], "--tenant must have 1 to 128 characters"),
        (["x", "--conversation", "x" * 129], "--conversation must have at most 128 characters"),
        (["x", "--instructions", "x" * 8001], "--instructions must have at most 8,000 characters"),
    ],
)
def test_a_question_that_the_contract_refuses_is_a_usage_error(
    arguments: list[str], says: str, capsys
) -> None:
    assert run(["ask", *arguments]) == 2
    assert capsys.readouterr().err.endswith(f"Error: {says}\n")
