"""Figures from the article that Kotae began from, about its system on 4 cores."""

import msgspec


class Published(msgspec.Struct, frozen=True):
    """A line of the article's table."""

    mean_ms: float
    p95_ms: float
    rate: float
    success: float


PUBLISHED = {
    50: Published(320, 480, 156, 1.0),
    100: Published(360, 540, 277, 1.0),
    200: Published(410, 680, 485, 0.996),
    300: Published(490, 820, 612, 0.982),
    500: Published(720, 1250, 690, 0.951),
}
CACHED_MS = (180.0, 10.0)
"""The article's time for a question without and with its cache."""
