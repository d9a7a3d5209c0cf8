"""Where the embedded index's shard is: loaded, made anew, or a copy that has taken the place of another."""

import asyncio
import logging
import shutil

from agents.errors import DependencyError
from agents.knowledge import storage
from agents.knowledge.freed import give_back_memory
from agents.knowledge.shard import Shard
from agents.knowledge.shard_vectors import FIRST, amove, found_shard, next_shard
from agents.knowledge.shard_writing import ShardWriter

log = logging.getLogger(__name__)


class ShardHome:
    """The shard in a directory; the caller holds the index's lock around every change.

    Attributes:
        shard: the shard to read and write; None: it is not loaded yet, or closed.
    """

    def __init__(self, directory: storage.Directory, writer: ShardWriter) -> None:
        self._directory = directory
        self._writer = writer
        self._path = directory.path / FIRST
        self.shard: Shard | None = None

    def load(self) -> bool:
        """Load the shard that is there; return whether that was possible."""
        self._path = found_shard(self._directory.path)
        try:
            self.shard = Shard.load(self._path)
        except DependencyError as error:
            log.warning("the index in %s cannot be read and is rebuilt: %s", self._path, error)
            return False
        return True

    def reset(self) -> None:
        """Begin with an empty shard."""
        self.close()
        self._directory.clear()
        self._writer.dead = 0
        self._path = self._directory.path / FIRST
        self.shard = Shard.create(self._path, None)

    def close(self) -> None:
        """Close the shard, if there is one."""
        shard, self.shard = self.shard, None
        if shard is not None:
            shard.close()

    async def aroom(self, dense_size: int) -> Shard | None:
        """Return the shard, moved to one with room for such vectors if need be; None: it is closed."""
        if self.shard is not None and self.shard.dense_size != dense_size:
            await self._acopy(self.shard, dense_size)
        return self.shard

    async def areclaim(self) -> None:
        """Free what replaced and deleted points have left behind, once it is much."""
        shard = self.shard
        if shard is None:
            return
        if self._writer.crowds(shard):
            try:
                await self._acopy(shard, shard.dense_size)
            except (DependencyError, OSError) as error:
                log.warning("the index cannot be copied, to free what changed documents left: %s", error)
                self._writer.dead = 0  # tried again when there are as many more
        else:
            await self._writer.areclaim(shard)

    async def _acopy(self, old: Shard, dense_size: int | None) -> None:
        """Put a copy of the shard in its place; searches find the old one until it is complete.

        Takes 0.3 ms of CPU a point, in steps; to begin and to end holds the loop for 20 to 30 ms.
        """
        path = next_shard(self._path)
        shutil.rmtree(path, ignore_errors=True)  # of a copy that was interrupted
        new = await amove(old, path, dense_size)
        await self._writer.aflush(new)
        self.shard = new
        old.close()
        # From now on the new one is found at a start.
        shutil.rmtree(self._path)
        self._path = path
        self._writer.dead = 0
        await asyncio.to_thread(give_back_memory)
