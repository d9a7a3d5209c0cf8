"""The size of a text in tokens as a language model counts them, estimated without its tokenizer. Pure."""

import re

TOKENS_PER_WORD = 1.3
CHARACTERS_PER_TOKEN = 6
"""Limits the estimate of text with few spaces, such as URLs, tables and encoded data."""

# Scripts without spaces between words, and Hangul, whose syllables are tokens; with their punctuation.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3000-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uffef\U00020000-\U0003134f]"
)


def estimate_tokens(text: str) -> float:
    """Return about how many tokens a language model makes of `text`."""
    spaced, unspaced = (text, 0) if text.isascii() else _UNSPACED.subn(" ", text)
    words = len(spaced.split())
    return unspaced + max(words * TOKENS_PER_WORD, (len(spaced) - unspaced) / CHARACTERS_PER_TOKEN)
