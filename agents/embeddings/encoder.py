"""The interface of a model in the process, which computes vectors in the thread that calls it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from agents.embeddings.comparing import Scale

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray


class UnfitModelError(Exception):
    """The model cannot be used; the message says in one line why, and what to do."""


class Encoder(Protocol):
    """A model. One thread calls it; its long steps release the interpreter's lock."""

    @property
    def name(self) -> str:
        """The name of its vectors: another model, or other settings of it, have another one."""
        ...

    @property
    def scale(self) -> Scale | None:
        """The meaning of its cosines between single words; None: it was not measured."""
        ...

    def encode(self, texts: Sequence[str], *, search: bool) -> "NDArray[float32]":
        """Return a row for each text, of length 1; `search` tells questions from passages."""
        ...
