"""Which of several encodings makes a text of some bytes that somebody could have written. Pure.

A text counts only if it has the letters of one language and words of it, or the commonest characters of a
script. Two encodings that make different texts of the same bytes leave the matter open.
"""

import codecs
import re
from collections import Counter
from collections.abc import Iterator

from agents.language.detection import COMMON
from agents.language.folding import folded

_LATIN = (
    "cp1252",
    "cp1250",
    "cp1254",
    "cp1257",
    "iso8859_2",
    "iso8859_15",
    "iso8859_16",
    "cp850",
    "cp852",
    "mac_roman",
)
_CYRILLIC = ("cp1251", "koi8_r", "iso8859_5", "cp866", "mac_cyrillic")
_OTHERS = ("cp1253", "iso8859_7", "cp1255", "cp1256", "iso8859_6", "cp874")
_WIDE = ("gb18030", "big5hkscs", "cp932", "euc_jp", "cp949")
ENCODINGS = (*_LATIN, *_CYRILLIC, *_OTHERS, *_WIDE)

_LETTERS = {
    "en": "éèïöüñ",
    "cs": "áčďéěíňóřšťúůýž",
    "da": "æøåé",
    "de": "äöüßé",
    "es": "áéíñóúü",
    "fi": "äöåšž",
    "fr": "àâæçéèêëîïôœùûüÿ",
    "hu": "áéíóöőúüű",
    "it": "àèéìíîòóùú",
    "nb": "æøåéèêóòâô",
    "nl": "éëïóöèüáê",
    "pl": "ąćęłńóśźż",
    "pt": "ãáàâçéêíóôõúü",
    "ro": "ăâîșțşţ",
    "sv": "åäöé",
    "tr": "çğıöşüâîû",
}
_SIGNS = frozenset("\u00a0“”„‚‘’‹›«»–—…•·€£¥§°©®™¿¡ªº½¼¾²³µ×÷±†‰´\u0307")
_QUOTING = frozenset("\u00a0“”‘’–—…•€™©®")
_WORD = re.compile(r"[^\W\d_]+")
_RAISED_AFTER_UNIT = re.compile(r"(?<![^\W\d_])[a-zµ]{1,2}[²³](?![^\W\d_])")
_SIGN_IN_WORD = re.compile(
    r"[^\W\d_][£¥§©®¼½¾²³×÷±†‰´¿¡][^\W_]|(?<![^\W_])[¼½¾²³±´†][^\W\d_]|[^\W\d_][¼½¾²³±´†]"
)
_INNER_CAPITAL = re.compile(r"[^\W\d_A-Z][À-ÖØ-ÞА-ЯΑ-Ω]")
_BETWEEN = re.compile(r"[a-z][^\x00-\xff]{1,2}[a-z]")
_MIXED = re.compile("[A-Za-z][\u0370-\u0eff]|[\u0370-\u0eff][A-Za-z]")
# The commonest letters of a script, and the least share of a text that they are.
_COMMONEST = {
    "cyrillic": ("\u0400-\u04ff", "оеаинтсрвл", 0.5),
    "greek": ("\u0370-\u03ff", "αοιετσνηυρ", 0.6),
    "hebrew": ("\u0590-\u05ff", "יוהלאתמרשב", 0.5),
    "arabic": ("\u0600-\u06ff", "اليمنوتربع", 0.5),
    "thai": ("\u0e00-\u0e7f", "านรกเงมยลวอ", 0.3),
}
_HAN = re.compile("[\u4e00-\u9fff]")
_KANA = re.compile("[\u3041-\u30ff]")
_HANGUL = re.compile("[\uac00-\ud7a3]")
_WIDE_SIGNS = re.compile("[\u3000-\u303f\uff00-\uffef\u2010-\u2026\u00b7]")
_FREQUENT = frozenset(
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行"
    "学法所得经十三之进着等部度家电力里如水化高自二理起小物现加量都两体机当使点从业本去把性好应开还因由其些前外天日四"
    "月号元日价格期公司品名使用请按每次本修保产单位地址时间"
)

_SYLLABLES = frozenset(
    "이다는을의가에하고지한로기사도어리나라인서스자대아시부해정전그수보동구조주일제장여상만있은입니습"
)
WIDE_MIN, MARKED_MIN = 6, 3
"""East Asian characters, and words with letters beyond ASCII, that tell an encoding without anything else."""


def plausible_texts(raw: bytes) -> dict[str, str]:
    """Return the texts that the bytes may be, with the encoding of each; the last character may be cut."""
    found: dict[str, str] = {}
    for encoding in ENCODINGS:
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(raw)
        except UnicodeDecodeError:
            continue
        if _is_plausible(text, encoding):
            found.setdefault(text, encoding)
    return _likeliest(found) if len(found) > 1 else found


def only_signs(text: str) -> bool:
    """Whether all that is not ASCII are quotation marks, dashes and the like, and few of them."""
    beyond = [mark for mark in text if not mark.isascii()]
    return len(beyond) < 0.2 * len(text) and all(mark in _QUOTING for mark in beyond)


def _is_plausible(text: str, encoding: str) -> bool:
    if any((mark < " " and mark not in "\t\r\n\f") or "\x7f" <= mark < "\xa0" for mark in text):
        return False
    if encoding in _WIDE:
        # Chinese encodings have kana too, but in Japanese texts other characters beside them.
        chinese = encoding in {"gb18030", "big5hkscs"} and _KANA.search(text)
        return not chinese and not _BETWEEN.search(text) and _wide_share(text) > 0
    if encoding in _LATIN:
        return any(True for _ in _languages(text))
    return _is_script(text)


def _languages(text: str) -> Iterator[str]:
    """Yield the languages of Latin letters whose alphabet and words a text has."""
    lower = text.replace("İ", "i").lower()
    beyond = {mark for mark in lower if not mark.isascii()} - _SIGNS
    if any(not mark.isalpha() for mark in beyond) or _INNER_CAPITAL.search(text):
        return
    if _SIGN_IN_WORD.search(_RAISED_AFTER_UNIT.sub("", text)):
        return
    words = set(_WORD.findall(lower))
    hits = {language: len(words & common) for language, common in COMMON.items()}
    best = max(hits.values())
    if not best and sum(not word.isascii() for word in words) < MARKED_MIN:
        return
    for language, letters in _LETTERS.items():
        if beyond <= set(letters) and hits.get(language, 0) >= max(best - 1, 0.5 * best):
            yield language


def _is_script(text: str) -> bool:
    beyond = [mark for mark in text.lower() if not mark.isascii() and mark not in _SIGNS]
    if len(beyond) < WIDE_MIN or _INNER_CAPITAL.search(text) or _MIXED.search(text):
        return False
    for block, commonest, share in _COMMONEST.values():
        if all(re.match(f"[{block}]", mark) for mark in beyond):
            return sum(_bare(mark) in commonest for mark in beyond) >= share * len(beyond)
    return False


def _bare(mark: str) -> str:
    return folded(mark) or mark


def _wide_share(text: str) -> float:
    """Return how sure an East Asian text is; 0: it is none."""
    kinds = Counter(
        kind
        for kind, pattern in (("han", _HAN), ("kana", _KANA), ("hangul", _HANGUL), ("sign", _WIDE_SIGNS))
        for _ in pattern.findall(text)
    )
    beyond = sum(not mark.isascii() for mark in text)
    if beyond < WIDE_MIN or sum(kinds.values()) < 0.98 * beyond:
        return 0.0
    if kinds["hangul"]:
        common = sum(mark in _SYLLABLES for mark in _HANGUL.findall(text))
        return 2.0 if common >= 0.25 * (beyond - kinds["sign"]) else 0.0
    if kinds["kana"] > 0.2 * (beyond - kinds["sign"]):
        return 2.0
    if kinds["kana"] or not kinds["han"]:
        return 0.0
    frequent = sum(folded(mark) in _FREQUENT for mark in _HAN.findall(text))
    share = frequent / kinds["han"]
    return share if share >= 0.15 else 0.0


def _likeliest(found: dict[str, str]) -> dict[str, str]:
    """Leave out what is East Asian by far less than another."""
    shares = {text: _wide_share(text) for text in found}
    best = max(shares.values(), default=0.0)
    return {text: encoding for text, encoding in found.items() if not best or shares[text] >= 0.5 * best}
