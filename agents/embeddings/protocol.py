"""The interface of whatever turns texts into vectors."""

from collections.abc import Sequence
from typing import Protocol


class Embeddings(Protocol):
    """Turns texts into vectors. Raises only `agents.errors.DependencyError`."""

    @property
    def model(self) -> str:
        """The model's name; vectors of different models are never compared."""
        ...

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector for each text of documents, in order, all of one length."""
        ...

    async def aembed_search(self, text: str) -> list[float]:
        """Return the vector of the text that is searched for."""
        ...
