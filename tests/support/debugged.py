"""`python -m tests.support.debugged …`: the command line with all log levels written."""

import functools
import logging

import streams.telemetry.logs
from streams.cli.main import main

if __name__ == "__main__":
    logs = streams.telemetry.logs
    logs.Logging = functools.partial(logs.Logging, level=logging.DEBUG)  # type: ignore[misc, assignment] - for once
    main()
