"""Tells full stops that end a sentence from those of ordinals, dates, list numbers and abbreviations. Pure.

The words around a full stop decide, so that texts of several languages can be mixed. Only where a word
belongs to several (`am 1. Mai`, `I am 31. May I go?`) is the language of the words near it asked for.
"""

import re

from agents.language.detection import recognised

NEAR = 200
"""Characters before and after a full stop that tell the language."""
LOOKED_AT = 48
"""Characters before and after it that tell what it belongs to."""

_NUMBER = r"(?:[0-9]{1,4}|[IVXLCDM]{1,7})"
_TAIL = re.compile(
    rf"(?:(?P<before>[^\W\d_]+)[^\S\n]+)?(?<![\w.,])(?P<last>{_NUMBER}|(?:[^\W\d_]{{1,8}}\.[^\S\n]?){{0,4}}[^\W\d_]{{1,12}})\.\Z"
)
_DAY_AND_MONTH = re.compile(r"(?<![\w.,])[0-3]?[0-9]\.[^\S\n]*[01]?[0-9]\.\Z")
_DAY = re.compile(r"(?<![\w.,])[0-3]?[0-9]\.\Z")
_MONTH_AND_YEAR = re.compile(r"[01]?[0-9]\.(?:\s*[0-9]{2,4})?(?![0-9])")
_YEAR = re.compile(r"(?:[0-9]{4}|[0-9]{2})(?![0-9])")
_ATTACHED = frozenset("-\u2010\u2013/")
_HOLIDAY = re.compile(r"\b(?P<before>[^\W\d_]+)[^\S\n]+[0-3]?[0-9]\.[^\S\n]*[01]?[0-9]\.\Z")
_MARKER = re.compile(r"\(?(?:[0-9]{1,3}|[ivxIVX]{1,5}|[A-Za-z])\.")
_LABEL = re.compile(
    r"(?i:kapitel|teil|schritt|abschnitt|anhang|frage|stufe|chapter|part|step|section|appendix|question|chapitre"
    r"|partie|étape|annexe|capítulo|parte|paso|sección|anexo|capitolo|sezione|hoofdstuk|stap|rozdział|глава|часть|шаг)"
    rf"[^\S\n](?:[0-9]+(?:\.[0-9]+)*|{_NUMBER}|[A-Z])\."
)
"""A heading's beginning: its title follows on the same line."""
_LAST_WORD = re.compile(r"[^\W_]+\Z")
_HEAD = re.compile(r"[^\W\d_]+")
_COUNTED = re.compile(r"[(\[§]*(?:[0-9]|[IVXLCDM]+\b|[A-Za-z]\b|[a-z]\))")

_MONTHS = frozenset(
    """
    januar jänner februar feber märz april mai juni juli august september oktober november dezember jan
    feb mär apr jun jul aug sep sept okt nov dez marts maj december mars desember januari februari augusti
    tammikuuta helmikuuta maaliskuuta huhtikuuta toukokuuta kesäkuuta heinäkuuta elokuuta syyskuuta
    lokakuuta marraskuuta joulukuuta tammikuun helmikuun ledna února března dubna května června července
    srpna září října listopadu prosince januára februára marca apríla mája júna júla augusta septembra
    októbra novembra decembra januarja februarja junija julija avgusta oktobra siječnja veljače ožujka
    travnja svibnja lipnja srpnja kolovoza rujna studenoga prosinca január február március április május
    június július augusztus szeptember október jaanuar veebruar märts aprill juuni juuli oktoober
    detsember stycznia lutego kwietnia maja czerwca lipca sierpnia września października listopada grudnia
    ocak şubat mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık
    """.split()  # noqa: SIM905 - read as a text, not as a list of a hundred lines
)
"""The months of languages whose days are ordinals with a full stop."""

_ORDINALS = {
    "de": "am im vom zum zur beim der die das den dem des ein eine einem einen einer eines jeder jede jedes "
    "jeden jedem und oder bis ab seit vor nach auf mit von in aus an ihr ihre ihrem ihren sein seine seinem "
    "seinen mein meine meinem unser unsere dieser diese dieses diesen diesem dessen deren welcher welche als "
    "für pro je",
    **dict.fromkeys(("da", "nb", "sv"), "den det de til fra og i på ved hver hvert en et sin sit sitt"),
    "fi": "ja on se tämä joka vuoden",
    "cs": "do od v ve na ke k dne a po před za",
    "hu": "a az és",
    "tr": "ve bu her ile",
}
"""The words that stand before an ordinal, by language."""
_ORDINALS_OF = {language: frozenset(words.split()) for language, words in _ORDINALS.items()}

_OPENING = frozenset(
    """
    der die das den dem des ein eine einer er sie es wir ihr ich man dies diese dieser dieses dann danach
    dabei dafür daher damit darum deshalb jedoch aber und oder auch wenn falls weil da ob wer was wo wie
    wann warum im in am an auf bei mit nach von vor für zu zum zur aus seit bis alle alles jeder jede kein
    keine nicht nur bitte hier dort det de han hun vi jeg men og
    """.split()  # noqa: SIM905 - as above
)
"""Words that open a German or Danish sentence, and never follow an ordinal or an amount."""

_NEVER_LAST = frozenset(
    """
    aprox env
    dr prof mr mrs ms messrs mme mmes mlle mm hr hrn fr frl sr sra srta dott dottssa sig sigra ing dipl
    hon rev gen col capt lt sgt bzw vgl sog ggf evtl bspw gem zzgl inkl einschl exkl abzgl mind ca approx
    circa vs cf viz eg ie resp bijv nl mevr dhr np tzn tj napr např tzv mj esp núm núms pág págs tel tél
    fax ул г-н г-жа напр ts f.eks z.b d.h u.u i.d.r i.d.f v.a o.g e.g i.e p.ex p.ej par.ex d.w.z m.a.w т.е
    т.к см им др пр bl.a dvs t.ex p.es
    """.split()  # noqa: SIM905 - as above
)
"""Abbreviations that something follows, in any language; many stand before a name."""
_BEFORE_NUMBERS = frozenset(
    """
    no nos nr nrn art arts abs abb fig figs tab kap bd bde sec sect ch chap chaps vol vols p pp s rn rz
    ziff lit anm anl pos str cap caps num pag pagg eq eqs ref refs ex op pt pts jg sp ausg aufl par para
    apt rm bldg pkt poz ust odst čl č sz kpt hfst blz afb max min est rs mt lk nro стр рис табл гл ст п д
    корп кв jan feb mar apr jun jul aug sep sept oct okt nov dec dez av
    """.split()  # noqa: SIM905 - as above
)
"""Abbreviations and words that end no sentence if a number, a letter or a paragraph sign follows."""
_BEFORE_NOUNS = frozenset(
    {"mio", "mrd", "tsd", "mill", "bio", "std", "sek", "str", "tel", "stck", "stk", "pkt"}
)
"""German abbreviations that a noun, which has a capital, may follow."""
_LAST_PARTS = frozenset(
    re.split("[.-]", name)[-1] for names in (_NEVER_LAST, _BEFORE_NUMBERS, _BEFORE_NOUNS) for name in names
)
LONGEST = 14
"""More characters than any abbreviation has."""


def is_end(text: str, begin: int, end: int, start: int) -> bool:
    """Whether a sentence, `text[begin:end]`, ends where the next one is said to start.

    It looks at a bounded number of characters.
    """
    if text[end - 1] == "．":
        # The point of `１２．５` is cut at, a usual one is not.
        return not (start == end and text[start].isdecimal() and text[end - 2 : end - 1].isdecimal())
    if text[end - 1] != ".":
        return True
    if _reads_on(text, begin, end, start):
        return False
    return not _is_doubtful(text, begin, end) or _is_doubtful_end(text, begin, end, start)


def _is_doubtful_end(text: str, begin: int, end: int, start: int) -> bool:
    """Whether a sentence ends after a number, a letter or an abbreviation."""
    gap = text[end:start]
    lines = gap.count("\n")
    if lines > 1 or "\r\r" in gap:
        return True
    before, after = text[max(begin, end - LOOKED_AT) : end], text[start : start + LOOKED_AT]
    numbered = not lines and (
        _MARKER.fullmatch(before) or (_starts_line(text, begin) and _LABEL.fullmatch(before))
    )
    if numbered or _date_goes_on(before, after):
        return False
    if (day := _HOLIDAY.search(before)) and day["before"].lower() in _ORDINALS_OF["de"]:
        # `am 3.10. Feiertag`
        head = _HEAD.match(after)
        return head is None or head[0].lower() in _OPENING
    tail = _TAIL.search(before)
    return tail is None or not _joins(text, begin, end, tail, after)


def _reads_on(text: str, begin: int, end: int, start: int) -> bool:
    """Whether a sentence that begins with a capital is followed by lower case, or by a dash without a gap.

    Of a text that begins no sentence with a capital nothing can be told like this.
    """
    following = text[start : start + 2]
    if start == end:
        return following[:1] in _ATTACHED
    opening = text[begin : begin + 1]
    return (
        following[:1].islower()
        and not following[1:].isupper()
        and not opening.islower()
        and text.count("\n", end, start) < 2
    )


def _joins(text: str, begin: int, end: int, tail: re.Match[str], after: str) -> bool:
    """Whether the number or the abbreviation before the full stop belongs to the words after it."""
    last, head = tail["last"], _HEAD.match(after)
    if last.isdigit() or last.strip("IVXLCDM") == "":
        return head is not None and _is_ordinal(text, begin, end, tail, head[0])
    return _goes_on(last.lower().replace(" ", "").replace("\u00a0", ""), head[0] if head else "", after)


def _is_doubtful(text: str, begin: int, end: int) -> bool:
    """Whether a number, a single letter or an abbreviation may be before the full stop; it is quick."""
    if end - begin <= LONGEST:
        return True
    word = _LAST_WORD.search(text, end - LONGEST, end - 1)
    last = word.group() if word else ""
    return len(last) < 2 or not last[-1].islower() or last.lower() in _LAST_PARTS


def _date_goes_on(before: str, after: str) -> bool:
    """Whether the full stop is within `31. 12. 2026`."""
    return bool(
        (_DAY_AND_MONTH.search(before) and _YEAR.match(after))
        or (_DAY.search(before) and _MONTH_AND_YEAR.match(after))
    )


def _starts_line(text: str, begin: int) -> bool:
    return begin == 0 or "\n" in text[max(0, begin - 3) : begin]


def _is_ordinal(text: str, begin: int, end: int, tail: re.Match[str], head: str) -> bool:
    """Whether a number is an ordinal of the word after it."""
    if head[0].islower():
        return True
    if len(tail["last"]) == 4 and tail["last"].isdigit():
        return False
    if head.lower() in _MONTHS and tail["last"].isdigit():
        return _language(text, begin, end) != "en"
    before = (tail["before"] or "").lower()
    if head.lower() in _OPENING:
        return False
    if not any(before in words for words in _ORDINALS_OF.values()):
        # `Ludwig XIV. Frankreich`: of a name only its Roman numeral is an ordinal.
        roman = not tail["last"].isdigit() and len(before) > 2 and (tail["before"] or "")[0].isupper()
        return roman and _language(text, begin, end) == "de"
    language = _language(text, begin, end)
    return before in _ORDINALS_OF.get(language or "", frozenset())


def _goes_on(last: str, head: str, after: str) -> bool:
    """Whether the sentence goes on after an abbreviation, which may have parts: `z.b` or `siehe.z.b`."""
    parts = last.split(".")
    if head[:1].islower() and len(parts[-1]) == 1:
        return True
    if any(".".join(parts[at:]) in _NEVER_LAST for at in range(len(parts))):
        return True
    if parts[-1] in _BEFORE_NUMBERS and _COUNTED.match(after):
        return True
    return parts[-1] in _BEFORE_NOUNS and head[:1].isupper() and head.lower() not in _OPENING


def _language(text: str, begin: int, end: int) -> str | None:
    """Return the language of the sentence, else of the text after it; None if neither tells."""
    return recognised(text[max(begin, end - NEAR) : end]) or recognised(text[end : end + NEAR])
