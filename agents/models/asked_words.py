"""The words of a question that others may mean, and the keys that say what it asks for. Pure.

Names, numbers and codes have no likeness: Dublin is much like Cork, and answers nothing about it.
"""

import re

from agents.embeddings.likeness import LONG_PIECE, comparable_words
from agents.language.keys import term_keys
from agents.models.asking import ASKING, LIGHT, Asked

_BINDS = re.compile(r"[\u3040-\u309f]|\A[\u3400-\u9fff]\Z")
"""Keys that say little: pairs across the end of a Japanese word, and single characters."""


def asked_words(asked: Asked) -> dict[str, frozenset[str]]:
    """Return the words of a question that others may mean, with the keys that each stands for."""
    telling = set(asked_keys(asked)) - asked.names
    plain = ASKING.sub(" ", asked.text)
    found = {word: term_keys(word) & telling for word in comparable_words(plain, LONG_PIECE)}
    return {word: frozenset(keys) for word, keys in found.items() if keys}


def asked_keys(asked: Asked) -> list[str]:
    """Return the keys of a question that say what it asks for."""
    return [key for key, weight in asked.weights.items() if weight > LIGHT and not _BINDS.search(key)]
