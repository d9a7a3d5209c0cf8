"""Numbers that are written as words, and the digits that they stand for. Pure."""

import re

from agents.language.folding import folded

_NUMBERS = (
    "two zwei deux dos due dois twee två to dwa два 二 两 兩",
    "three drei trois tres tre três drie trzy три 三",
    "four vier quatre cuatro quattro quatro fyra fire cztery четыре 四",
    "five fünf cinq cinco cinque vijf fem pięć пять 五",
    "six sechs seis sei zes sex seks sześć шесть 六",
    "seven sieben sept siete sette sete zeven sju syv siedem семь 七",
    "eight acht huit ocho otto oito åtta otte osiem восемь 八",
    "nine neun neuf nueve nove negen nio ni dziewięć девять 九",
    "ten zehn dix diez dieci dez tien tio ti dziesięć десять 十",
    "eleven elf onze once undici elva elleve jedenaście одиннадцать 十一",
    "twelve zwölf douze doce dodici doze twaalf tolv dwanaście двенадцать 十二",
)
_OTHERS = {
    "13": "thirteen dreizehn treize trece 十三",
    "14": "fourteen vierzehn quatorze catorce 十四",
    "15": "fifteen fünfzehn quinze quince 十五",
    "20": "twenty zwanzig vingt veinte venti vinte twintig 二十",
    "30": "thirty dreißig trente treinta trenta trinta dertig 三十",
    "40": "forty vierzig quarante cuarenta quaranta quarenta veertig 四十",
    "50": "fifty fünfzig cinquante cincuenta cinquanta cinquenta vijftig 五十",
    "60": "sixty sechzig soixante sesenta sessanta sessenta zestig 六十",
    "90": "ninety neunzig nonante noventa novanta negentig 九十",
    "100": "hundred hundert cent cien cento cem honderd 一百 百",
    "1000": "thousand tausend mille mil duizend 一千 千",
}
_WRITTEN_AS = {str(number): words for number, words in enumerate(_NUMBERS, 2)} | _OTHERS
DIGITS = {folded(word): number for number, words in _WRITTEN_AS.items() for word in words.split()}
"""The digits of each word, folded like terms. "One" is left out: most languages have it as an article."""

_PARTS = (
    r"half|halbe[nrs]?|twice|once|double|einmal|zweimal|doppelt\w*|moitié|mitad|doble|medio|metà|metade|helft"
    r"|free|kostenlos|gratuit\w*|gratis|\w+(?:stündig|tägig|wöchig|monatig|jährig)\w*"
)
_SPACED = "|".join(word for words in _WRITTEN_AS.values() for word in words.split() if word < "\u0500")
_WRITTEN = re.compile(rf"\d|[一二两兩三四五六七八九十百千万半]|\b(?:{_SPACED}|{_PARTS})\b", re.IGNORECASE)


def has_number(text: str) -> bool:
    """Whether a text tells a number, in digits or in words."""
    return _WRITTEN.search(text) is not None
