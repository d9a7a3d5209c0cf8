"""The extractive answer, found by words alone, for tests that run no event loop."""

import asyncio
import math
from collections.abc import Sequence

from agents.components import Passage
from agents.models.extractive import aextract_answer
from agents.models.finding import Finder


def extract_answer(question: str, passages: Sequence[Passage]) -> str:
    """Return the answer that the passages give; "" if they give none."""
    return asyncio.run(aextract_answer(question, passages, Finder(None, math.inf)))
