"""The built-in model computes beside the event loop."""

import asyncio
import sys

import pytest

from agents.embeddings.builtin import BuiltinEncoder
from agents.embeddings.local import LocalEmbeddings
from streams.assembly.embeddings import SWITCH_S
from tests.benchmarks.embedding import held_ms
from tests.benchmarks.knowledge import Language


@pytest.mark.alone
async def test_the_loop_is_not_held_while_paragraphs_are_embedded() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    embeddings = LocalEmbeddings(await asyncio.to_thread(BuiltinEncoder))
    language = Language(3)
    paragraphs = [language.english(120) for _ in range(60)]
    late = await held_ms(asyncio.create_task(embeddings.aembed(paragraphs)))
    await embeddings.aclose()
    sys.setswitchinterval(before)
    # The longest one alone would be the machine's: 99 of 100 tell of the thread.
    assert len(late) > 50
    assert late[int(len(late) * 0.99) - 1] < 5
