"""Errors that the person at the command line can solve: shown as one line, without a stack."""


class OperatorError(Exception):
    """A problem outside the code; the message names it and the remedy."""

    exit_code = 1


class SettingsError(OperatorError):
    """A setting is wrong; the message names the setting, its source and the allowed values."""

    exit_code = 2


class CannotStartError(OperatorError):
    """An operator's problem in one of several workers; the exit code tells the supervisor it is no crash."""

    exit_code = 4
