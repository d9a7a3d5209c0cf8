"""The kinds of values that a question wants and a text has: money, dates, spans of time, units. Pure.

"What does it cost?" names no column, but only one column may have amounts of money.
"""

import re
from dataclasses import dataclass

_MONTHS = (
    r"jan(?:uary|uar|vier)?|feb(?:ruary|ruar)?|février|mar(?:ch|s|zo)?|märz|apr(?:il)?|avril|abril|ma[iy]o?"
    r"|june?|juni|juin|junio|july?|juli|juillet|julio|aug(?:ust)?|août|agosto|sept?(?:ember|embre)?|septiembre"
    r"|o[ck]t(?:ober|obre|ubre)?|nov(?:ember|embre|iembre)?|d[ez][cz](?:ember)?|décembre|diciembre|enero"
    r"|febrero"
)
_DAYS = (
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?|(?:mon|diens|donners|frei|sams|sonn)tags?|mittwochs?"
    r"|lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche"
    r"|lunes|martes|miércoles|jueves|viernes|sábado|domingo"
)
_SPANS = (
    r"(?:second|minute|hour|day|week|month|year)s?|(?:sekunde|minute|stunde|woche)n?|tage?n?|monate?n?|jahre?n?"
    r"|secondes?|heures?|jours?|semaines?|mois|ans?|années?|segundos?|minutos?|horas?|días?|semanas?|mes(?:es)?"
    r"|años?"
)


@dataclass(frozen=True, slots=True)
class Value:
    """A kind of value: `asked` finds it in a question, `told` in a text, `named` in a column's name."""

    asked: re.Pattern[str]
    told: re.Pattern[str]
    named: re.Pattern[str] | None = None


def _value(asked: str, told: str, named: str | None = None) -> Value:
    return Value(
        re.compile(asked, re.IGNORECASE),
        re.compile(told, re.IGNORECASE),
        re.compile(named, re.IGNORECASE) if named else None,
    )


_MONEY_NAMED = (
    r"\b(?:prices?|costs?|fees?|eur|usd|gbp|chf|preise?|kosten|gebühr(?:en)?|prix|coûts?|tarifs?|precios?|costes?"
    r"|tarifas?)\b|(?<=\w)(?:preis|gebühr|kosten)\b|[€$£¥]|价|費|费|料金|値段|円|元"
)
VALUES = (
    _value(
        r"\b(?:costs?|prices?|fees?|expensive|cheap(?:er|est)?|dear(?:er|est)|kostet|kosten|preise?|gebühr(?:en)?|teuer\w*|billig\w*|günstig\w*"
        r"|coûte(?:nt)?|ch(?:er|ère)s?|barat[oa]s?|car[oa]s?|coûts?|prix|cuestan?|precios?|costes?)\b|(?<=\w)(?:preis|gebühr|kosten)\b"
        r"|便宜|[贵貴]|安い|多少钱|多少錢|价格|價格|费用|費用|价钱|售价|票价|租金|料金|値段|価格|いくら",
        r"[€$£¥₹]|\b(?:eur|usd|gbp|chf|euros?|dollars?|pounds?|francs?|yuan|yen|cents?|free|kostenlos|gratuit"
        r"|gratis)\b|\d\s*(?:元|円|块|塊)|免费|無料",
        _MONEY_NAMED,
    ),
    _value(
        # "What to do when it rains" asks for no time.
        r"(?:\A|[,;:¿]|\b(?:and|by|since|until|from|et|depuis|y|desde|hasta))\s*(?:when|quand|cuándo)\b|\bwann\b"
        r"|\bwhat (?:date|day|time)\b|什么时候|什麼時候|何时|何時|哪天|いつ|何日",
        rf"\b(?:{_MONTHS})\b|\b(?:{_DAYS})\b|\b\d{{1,2}}[:.h]\d{{2}}\b|\b\d{{3,4}}\b|\d0s\b|\b(?:century|centuries|jahrhundert\w*|siècles?|siglos?)\b|世[纪紀]|\d\s*(?:am|pm|a\.m|p\.m)"
        r"|\d\s*(?:uhr|heures)\b|\d\s*[年月日号點点時]|\b\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b|[周週][一二三四五六日]"
        r"|曜日|星期",
    ),
    _value(
        r"\bhow long\b|\bwie lange?\b|\bcombien de temps\b|\bcuánto (?:tiempo|dura)\b|多久|多长时间"
        r"|どのくらいの期間"
        r"|何(?:日|時|週|年)間",
        rf"(?:\d|\w)\s*(?:{_SPANS})\b|\d\s*(?:h|min|s)\b|[\d一二两三四五六七八九十]\s*(?:个月|個月|天|日|周|週|年"
        r"|小时"
        r"|小時|分钟|分鐘|秒|時間|分|[ヶか]月)",
    ),
    _value(
        r"\bhow heavy\b|\bweigh(?:t|s)?\b|\bwie schwer\b|\bgewicht\b|\bwiegt\b|\bpoids\b|\bpèse\b|\bpes[ao]\b"
        r"|多重|重量|重さ",
        r"\d\s*(?:kg|g|lbs?|t|kilo\w*|gramm?e?s?|tonn?e?s?)\b|\d\s*(?:公斤|千克|克)",
        r"weight|gewicht|poids|peso|重",
    ),
    _value(
        r"\bhow (?:loud|noisy|quiet)\b|\bnoise\b|\bquiet(?:er|est)\b|\bloud(?:er|est)\b"
        r"|\bwie (?:laut|leise)\b|\bleiser|\blauter|bruit|bruyant|silencieux|ruido|silencios"
        r"|噪音|更安静|静か|騒音",
        r"\d\s*db\b|分贝|デシベル",
    ),
)


def wanted_values(question: str) -> list[Value]:
    """Return the kinds of values that a question wants; none if it shows none."""
    return [value for value in VALUES if value.asked.search(question)]


def has_value(value: Value, text: str, name: str = "") -> bool:
    """Whether a text has a value of a kind; `name` is that of its column, which may have the unit."""
    if value.told.search(text):
        return True
    named = value.named is not None and value.named.search(name) is not None
    return (named or value.told.search(name) is not None) and any(map(str.isdecimal, text))
