"""A moment on the command line: a time, a day, or how long ago."""

import re
from datetime import UTC, datetime, timedelta

import click

_AGO = re.compile(r"(\d{1,4})\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class _Moment(click.ParamType[datetime]):
    name = "moment"

    def convert(
        self, value: datetime | str, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        if ago := _AGO.fullmatch(value.strip()):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            self.fail(
                f"{value!r} is no moment: write 2026-11-30, 2026-11-30T08:00:00Z, or 90m, 12h, 7d (ago)",
                param,
                ctx,
            )
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


MOMENT = _Moment()
"""A time with RFC 3339, a day (its beginning), both in UTC unless they say otherwise, or how long ago."""
