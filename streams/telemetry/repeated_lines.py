"""Repeated log lines: written once every few seconds, with the number of repetitions."""

import logging
import math

REPEAT_S = 10.0
"""How long equal lines are held back after one was written."""
LINES_MAX = 256
"""How many different lines are remembered."""


class RepeatedLines(logging.Filter):
    """Holds back warnings and errors of some loggers if an equal line has just been written.

    Args:
        names: the names of the loggers; the loggers below them are included.
    """

    def __init__(self, *names: str) -> None:
        super().__init__()
        self._among = [logging.Filter(name) for name in names]
        self._written: dict[tuple[str, int, str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write the line; it then says how many equal lines were held back before it."""
        if record.levelno < logging.WARNING or not any(among.filter(record) for among in self._among):
            return True
        # Two questions can fail with the same words: their sources tell them apart.
        key = record.name, record.levelno, record.getMessage(), getattr(record, "source", "")
        at, held_back = self._written.pop(key, (-math.inf, 0))
        if 0.0 <= record.created - at < REPEAT_S:
            self._written[key] = at, held_back + 1
            return False
        if len(self._written) >= LINES_MAX:
            del self._written[next(iter(self._written))]  # the one not repeated for longest
        self._written[key] = record.created, 0
        if held_back:
            record.msg, record.args = f"{key[2]} (and {held_back} times since it was last written)", None
        return True
