"""Log lines that say the same again and again are written once in a while, with how often they came."""

import logging
import math

REPEAT_S = 10.0
"""How long a line stands for those that say the same after it."""
LINES_MAX = 256
"""Different lines that are remembered."""


class Repeats(logging.Filter):
    """Holds back warnings and errors of some loggers, where the same has just been written.

    Args:
        names: of the loggers; those below them count as well.
    """

    def __init__(self, *names: str) -> None:
        super().__init__()
        self._among = [logging.Filter(name) for name in names]
        self._written: dict[tuple[str, int, str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is to be written; it then tells how many like it were not."""
        if record.levelno < logging.WARNING or not any(among.filter(record) for among in self._among):
            return True
        # Two questions can fail with the same words: where they are tells them apart.
        key = record.name, record.levelno, record.getMessage(), getattr(record, "source", "")
        at, held_back = self._written.pop(key, (-math.inf, 0))
        if 0.0 <= record.created - at < REPEAT_S:
            self._written[key] = at, held_back + 1
            return False
        if len(self._written) >= LINES_MAX:
            del self._written[next(iter(self._written))]  # the one that has not come for longest
        self._written[key] = record.created, 0
        if held_back:
            record.msg, record.args = f"{key[2]} (and {held_back} times since it was last written)", None
        return True
