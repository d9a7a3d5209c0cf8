"""Parts of a worker that do nothing, for tests of the other parts."""

from typing import Any


class NoFeed:
    """A knowledge feed that has nothing to read."""

    caught_up = True
    group = None

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def notes(self) -> list[str]:
        return []

    def state(self) -> dict[str, Any]:
        return {}


async def nothing() -> None: ...
