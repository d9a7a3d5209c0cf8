"""A stand-in for an embeddings model: words that share a meaning by a list get vectors that are near."""

import math
from collections.abc import Sequence

from agents.errors import TransientError

MEANINGS = (
    ("car", "automobile", "vehicle", "汽车"),
    ("price", "cost", "expensive", "价格"),
    ("doctor", "physician", "医生"),
    ("house", "home", "房子"),
)


class MeaningList:
    """Implements `agents.knowledge.embeddings.Embeddings`; one dimension a meaning, and one for the rest."""

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
    weights = [float(sum(text.count(word) for word in words)) for words in MEANINGS]
    weights.append(0.1)
    length = math.sqrt(sum(weight * weight for weight in weights))
    return [weight / length for weight in weights]
