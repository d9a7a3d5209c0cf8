"""The contents of texts that are kept take bounded memory, however long the texts are."""

import tracemalloc

from agents.citing.support import LONG, content_of
from agents.documents.units import units_of


def test_long_texts_are_not_kept() -> None:
    sentences = [
        f"The pump number {number} is made of brass and weighs {number} kilos. " for number in range(400)
    ]
    tracemalloc.start()
    try:
        for number in range(60):
            text = f"{number} " + "".join(sentences[number:]) * 2
            assert len(text) > LONG
            content_of(text)
            units_of(text)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 8_000_000
