"""Passages that say the same count once in a result: the best of them, which names the others. Pure."""

from collections.abc import Sequence

from msgspec.structs import replace

from agents.components import Copy, Passage


def without_copies(passages: Sequence[Passage]) -> Sequence[Passage]:
    """Return the passages, of those that say the same the first, with the other documents as its `copies`."""
    kept: dict[str, Passage] = {}
    others: dict[str, dict[str, Copy]] = {}
    for passage in passages:
        like = passage.likeness or passage.chunk_id
        if like not in kept:
            kept[like] = passage
        elif passage.document_id != kept[like].document_id:
            copy = Copy(passage.chunk_id, passage.document_id, passage.title, passage.source)
            others.setdefault(like, {}).setdefault(passage.document_id, copy)
    if len(kept) == len(passages):
        return passages
    return [
        replace(passage, copies=tuple(others[like].values())) if like in others else passage
        for like, passage in kept.items()
    ]
