"""Problems that the person at the command line can solve: shown as one line, without a stack."""


class OperatorError(Exception):
    """Something outside the code is wrong; the message says what, and what to do about it."""

    exit_code = 1


class SettingsError(OperatorError):
    """A setting is wrong: the message names it, its source and what is allowed."""

    exit_code = 2


class CannotStartError(OperatorError):
    """How one of several workers tells its supervisor of an operator's problem, and not of a crash."""

    exit_code = 4
