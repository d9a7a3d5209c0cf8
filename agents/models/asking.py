"""The reading of a question: its telling terms, the names it is about, the kind of answer wanted. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from agents.language.folding import folded
from agents.language.keys import term_key, term_weight
from agents.language.stop_words import stop_words
from agents.language.terms import terms
from agents.models.codes import Code, codes_in

ACRONYM = 4.0
"""The least weight of a word in capitals."""
LIGHT = 0.3
"""The weight of a word that only connects or asks."""

Wanted = Literal["number", "list", "code", "text"]

_ACRONYM = re.compile(r"(?<![A-Za-z0-9])[A-Z][A-Z0-9]{1,5}(?![A-Za-z0-9])")
ASKING = re.compile(
    "请问|为什么|什么|怎么样|怎么|怎样|如何|多少|多久|多长|多大|多远|多高|哪里|哪儿|哪个|哪些|哪一|哪|谁"
    "|何时|何地|请(?=告诉|说)|是否|能否|可否|可不可以|能不能|有没有|是不是|可以|应该|需要|我们|你们|他们|几|时候"
    "|請問|為什麼|什麼|怎麼|哪裡|哪個|誰|嗎|們"
    "|[吗呢吧啊的了是有在我你您它和与及或被把从对到为于以会能要个位这那就也都之其还]"
    # ja
    "|ですか|ますか|でしょうか|ください|どのくらい|どれくらい|いくつ|いくら|いつ|どこ|だれ|なに|どの|どれ|どう"
    "|について|何(?=[人回時日月年分円台個名件歳度])"
)
"""Chinese and Japanese words that ask or only connect: without spaces they would form pairs with their
neighbours that no text has."""
_NUMBER = re.compile(
    # "how do I" asks for a way, "how long" for a number.
    r"\bhow (?!do|does|did|can|could|to\b|is\b|are\b|was\b|were\b|should|would|will|must|may\b)"
    r"(?!come|about|else)\w+"
    r"|\bwhat (?:time|percentage|share|number|age|year|price|size|temperature|date|amount)\b"
    r"|\bwie (?:viele?|lange?|oft|hoch|groß|schwer|weit|teuer|alt|schnell|tief|breit|laut|früh|spät|warm|kalt"
    r"|nah|dick|stark|hell)\b|\bwieviele?\b|\b(?:um|ab|bis) (?:wie viel|welche\w*) uhr\b|\bab wann\b"
    r"|\bcombien\b|\bà quelle (?:heure|température|fréquence|distance|vitesse)\b"
    r"|\bquel(?:le)? (?:est )?(?:l[ea'’] ?)?(?:prix|nombre|âge|durée|taille|poids|température|montant)\b"
    r"|\bcuánt[oa]s?\b|\ba qué hora\b|\bquant[oaie]\b|\bquant[oa]s\b|\ba que horas\b|\bhoeveel\b"
    r"|\bhoe (?:lang|vaak|hoog|groot|zwaar|ver|duur|oud|snel|diep|breed|luid|vroeg|laat)\b"
    r"|多少|多[久长大远高重快深宽厚]|几(?!乎)|いくら|いくつ|何(?:人|回|時|日|月|年|分|円|台|個|名|件|歳|度|パーセント|キロ)"
    r"|ど[のれ]くらい|何(?:時間|日間|年間)",
    re.IGNORECASE,
)
_LIST = re.compile(
    r"\b(?:which|what) (?:\w+ ){0,3}?\w+s\b|\b(?:list|name|what are|which are)\b"
    r"|\bwelche[rsnm]?\b|\bwas (?:sind|alles)\b|\bquel(?:le)?s\b|\bqué \w+s\b|\bcuáles\b"
    r"|\bquali\b|\bquais\b|\bwelke\b|哪些|都有|有什么|どんな|何(?:が|を)|どの",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"\b(?:commands?|code|snippet|syntax|script|query|function call|befehle?|commande|comando|cli|sql|curl"
    r"|regex|endpoint|environment variable|config(?:uration)?|setting)\b|命令|代码|コマンド|コード",
    re.IGNORECASE,
)
_CAPITAL = re.compile(r"(?<![\w])(?:[A-ZÀ-ÖØ-Þ][\w'’-]*\w|[A-Z]{2,})")
_SENTENCE_START = re.compile(r"(?:\A|[.!?¿¡:\"“„«]\s*)\Z")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it is compared with texts.

    Attributes:
        weights: of the keys of all its terms.
        names: keys of its names, of which a text about its subject has most.
        pairs: keys of names side by side, "Kettle Brona": a text about "Kettle Orla" is about another one.
        codes: its numbers and codes, which such a text has.
    """

    text: str
    weights: dict[str, float]
    names: frozenset[str]
    pairs: tuple[tuple[str, str], ...]
    codes: tuple[Code, ...]
    wanted: Wanted


def read_question(text: str) -> Asked:
    """Return what a text must have to answer the question."""
    plain = ASKING.sub(" ", folded(text))
    light = stop_words(text)
    weights: dict[str, float] = {}
    for term in terms(plain):
        weight = min(LIGHT, term_weight(term)) if term in light else term_weight(term)
        key = term_key(term)
        weights[key] = max(weights.get(key, 0.0), weight)
    # The shortest words say the least, but acronyms are short and say much.
    for term in terms(" ".join(_ACRONYM.findall(text))):
        weights[term_key(term)] = max(weights.get(term_key(term), 0.0), ACRONYM)
    acronyms = {term_key(term) for found in _ACRONYM.findall(text) for term in terms(found)}
    capitals = [] if _nouns_are_capital(text) else _capitals(text)
    names = frozenset(acronyms).union(key for _, _, key in capitals)
    return Asked(text, weights, names & weights.keys(), _pairs(text, capitals), codes_in(text), _wanted(text))


def pairs_of(text: str) -> tuple[tuple[str, str], ...]:
    """Return the keys of the names that stand side by side in a title."""
    return _pairs(text, _capitals(text, from_start=True))


def _wanted(text: str) -> Wanted:
    if _NUMBER.search(text):
        return "number"
    if _CODE.search(text):
        return "code"
    return "list" if _LIST.search(text) else "text"


def _nouns_are_capital(text: str) -> bool:
    words = re.findall(r"[^\W\d_]{2,}", text)[1:]
    return len(words) > 0 and stop_words(text) is stop_words("der die das ist und nicht")


def _capitals(text: str, *, from_start: bool = False) -> list[tuple[int, int, str]]:
    """Return the capitalised words with their places; those that begin a sentence only `from_start`."""
    light = stop_words(text)
    return [
        (*match.span(), term_key(term))
        for match in _CAPITAL.finditer(text)
        if from_start or not _SENTENCE_START.search(text, max(0, match.start() - 4), match.start())
        for term in terms(match[0])
        if term not in light and len(term) > 1
    ]


def _pairs(text: str, capitals: Sequence[tuple[int, int, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (one, two)
        for (_, end, one), (start, _, two) in pairwise(capitals)
        if one != two and text[end:start] == " "
    )
