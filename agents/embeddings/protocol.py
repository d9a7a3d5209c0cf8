"""The interface of whatever turns texts into vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

DEPENDENCY = "embeddings"
"""The embeddings' name in errors and guards."""


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


@dataclass(frozen=True, slots=True)
class Prefixes:
    """The texts that a model wants before a question, and before a passage of a document."""

    query: str = ""
    passage: str = ""

    def put_before(self, text: str, *, search: bool) -> str:
        """Return the text as the model wants it."""
        return (self.query if search else self.passage) + text

    def named(self, model: str) -> str:
        """Return a name for the vectors of a model: with other prefixes it makes other vectors."""
        return f"{model} {self.query!r} {self.passage!r}" if self.query or self.passage else model


NO_PREFIXES = Prefixes()
