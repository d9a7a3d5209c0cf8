"""A stand-in for an embeddings model: words that share a meaning by a list get vectors that are near."""

import math
import zlib
from collections.abc import Sequence

from agents.errors import TransientError
from agents.sentences import terms

MEANINGS = (
    ("car", "automobile", "vehicle", "汽车"),
    ("price", "cost", "expensive", "价格"),
    ("doctor", "physician", "医生"),
    ("house", "home", "房子"),
)

OTHERS = 60


class MeaningList:
    """Implements `agents.knowledge.embeddings.Embeddings`: a dimension a meaning, some for other terms."""

    model = "meanings"

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.away = False

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        if self.away:
            raise TransientError("embeddings", "connection refused")
        self.texts += texts
        return [_vector(text.lower()) for text in texts]


def _vector(text: str) -> list[float]:
    weights = [3.0 * sum(text.count(word) for word in words) for words in MEANINGS] + [0.0] * OTHERS
    for term in terms(text):
        weights[len(MEANINGS) + zlib.crc32(term.encode()) % OTHERS] += 1.0
    length = math.sqrt(sum(weight * weight for weight in weights)) or 1.0
    return [weight / length for weight in weights]
