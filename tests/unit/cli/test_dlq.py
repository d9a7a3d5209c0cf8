"""`kotae dlq`: its help, and the moments that its options take."""

from datetime import UTC, datetime, timedelta, timezone

import click
import pytest

from streams.cli.main import run
from streams.cli.moments import MOMENT
from streams.operations.redrive import STATES


@pytest.mark.parametrize("command", [[], ["list"], ["redrive"]])
def test_each_state_is_explained_in_the_help(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    assert run(["dlq", *command, "--help"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert {f"{state} {meaning}" for state, meaning in STATES.items()} <= set(lines)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-30", datetime(2026, 11, 30, tzinfo=UTC)),
        ("2026-11-30T08:00:00Z", datetime(2026, 11, 30, 8, tzinfo=UTC)),
        ("2026-11-30 08:00", datetime(2026, 11, 30, 8, tzinfo=UTC)),
        ("2026-11-30T08:00+02:00", datetime(2026, 11, 30, 8, tzinfo=timezone(timedelta(hours=2)))),
    ],
)
def test_a_moment_is_a_day_or_a_time(written: str, meant: datetime) -> None:
    assert MOMENT.convert(written, None, None) == meant


@pytest.mark.parametrize(
    ("written", "ago"),
    [("90m", timedelta(minutes=90)), ("7d", timedelta(days=7)), ("2 w", timedelta(weeks=2))],
)
def test_a_moment_is_how_long_ago(written: str, ago: timedelta) -> None:
    before = datetime.now(UTC)
    assert before - ago <= MOMENT.convert(written, None, None) <= datetime.now(UTC) - ago


@pytest.mark.parametrize("written", ["", "yesterday", "2026-13-01", "5", "-3d", "99999999999d"])
def test_anything_else_is_refused_with_what_to_write(written: str) -> None:
    with pytest.raises(click.BadParameter, match="write 2026-11-30"):
        MOMENT.convert(written, None, None)
