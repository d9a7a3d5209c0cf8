"""The words by which an answer says that it does not know, in the languages of most askers. Pure."""

import re

from agents.language.detection import NOT_KNOWN

_FIRST = re.compile(r"[:：,.。،]")
_OPENINGS = tuple(_FIRST.split(sentence, maxsplit=1)[0] for sentence in NOT_KNOWN.values())
_SAYS_SO = re.compile(
    r"\b(?:do(?:es)?|did|can|could|is|are|was) ?(?:not|n['’]t)\b.{0,40}\b(?:know|say|state|mention"
    r"|specif\w+|contain"
    r"|cover|provide\w*|find|found|answer|determine|given|available|address|include)"
    r"|\bcannot\b.{0,30}\b(?:answer|say|find|determine|tell)|\bunable to\b|\bno (?:information"
    r"|mention|details?|answer)\b"
    r"|\bnicht\b.{0,40}\b(?:bekannt|erwähnt|angegeben|enthalten|beantwort\w*|hervor|finden)"
    r"|\bweiß\b.{0,20}\bnicht\b"
    r"|\bkeine? (?:angaben?|informationen?|antwort|hinweise?)\b"
    r"|\bne (?:sais|mentionn\w+|précis\w+|contien\w+|permet\w*|répond\w*|trouve)\b"
    r"|\baucune (?:information|mention)\b"
    r"|\bno (?:lo )?(?:sé|se (?:menciona|especifica|indica)|mencionan?|contienen?|encuentr\w+)\b"
    r"|\bninguna información\b"
    r"|不知道|没有(?:提到|提及|说明|相关|找到|答案)|未(?:提及|提到|说明)|无法(?:回答|确定|得知)|無法(?:回答|確定)|沒有(?:提到|說明)"
    r"|[わ分]かりません|(?:記載|情報|言及)(?:が|は)?(?:ありません|ない|されていません)|見つかりません",
    re.IGNORECASE,
)


def abstains(statement: str) -> bool:
    """Whether a statement says that something is not known or not in the sources."""
    return statement.lstrip("# *_->").startswith(_OPENINGS) or _SAYS_SO.search(statement) is not None
