"""The questions within a question: several clauses that ask, or one that asks about several things. Pure.

    parts_of("How heavy is the Lumo 2, and when was it built?")   # the second with the name of the first
    parts_of("What do plan S and plan L cost?")                   # one for each plan

Only names, numbers and codes are things: "terms and conditions" are one.
"""

import re

from agents.language.detection import language_of
from agents.language.follow_ups import leans, standing_alone
from schemas.question import Question, Turn

PARTS_MAX = 4
"""Parts that a question may have; one with more is asked as a whole."""

_ASKS = (
    r"who|whom|whose|what|when|where|which|why|how|wer|wen|wem|wessen|was|wann|wo|woher|wohin|wofür|womit|warum"
    r"|wieso|welche[rsnm]?|wie|wieviele?|qui|que|quoi|quand|où|quel(?:le)?s?|comment|pourquoi|combien|qué"
    r"|qu['’]est-ce|quiénes|quién|cuándo|dónde|cuál(?:es)?|cómo|cuánt[oa]s?"
)
_BEFORE = (
    r"within|in|for|by|at|to|from|on|with|until|since|of|about|under|during|before|after|up to"
    r"|innerhalb|für|bis|ab|seit|mit|zu|nach|von|um|auf|an|bei|über|à|de|en|dans|pour|jusqu['’]à|sous|avec"
    r"|chez|par|a|para|con|desde|hasta|por|bajo|sobre"
)
_JOINS = r"and|und|sowie|et|ainsi que|y|e"
_ASKED = re.compile(rf"(?:(?:{_BEFORE})\s+)?(?:{_ASKS})(?!\w)", re.IGNORECASE)
_JOINED = re.compile(
    rf"\s*[,;]?\s+(?:{_JOINS})\s+(?P<next>(?:(?:{_BEFORE})\s+)?(?P<word>{_ASKS})(?!\w))", re.IGNORECASE
)
_LEADING = (
    rf"\A\W*(?:(?:{_BEFORE})\s+)?(?:{_ASKS})(?!\w)"
    r"(?:\s+(?:much|many|long|often|far|viele?|lange?|oft|de temps)\b)?"
)
_BARE = re.compile(rf"{_LEADING}\W*\Z", re.IGNORECASE)
_ASKED_FIRST = re.compile(_LEADING, re.IGNORECASE)
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_UNSPACED_ASKS = re.compile(
    "什么|什麼|多少|多[久长長大远遠高重快深宽寬厚]|几|幾|谁|誰|哪|何|怎|如何|吗|嗎|为什么|為什麼|いくつ|いくら|いつ"
    "|どこ|だれ|なに|どの|どれ|どう|ですか|ますか"
)
_UNSPACED_JOINED = re.compile(
    r"(?:[，,；;、。]|以及|并且|並且|而且)(?:和|以及|并且|並且|而且|另外|また|そして)?|(?<=か)(?:また|そして)"
)
_RESPECTIVELY = re.compile(
    r",?\s*\b(?:respectively|jeweils|respectivement|respectivamente)\b|分别|分別|各自|それぞれ", re.IGNORECASE
)
_EACH = re.compile("分别|分別|各|それぞれ")
_BETWEEN = re.compile(r"\b(?:between|zwischen|entre|from|von|vom)\s+(?:\w+\s+){0,3}\Z", re.IGNORECASE)
# Words in capitals that are no names: "Research and Development", "Health and Safety".
_GENERAL = re.compile(
    r"(?:ment|tions?|ing|ity|ety|ness|ance|ence|ung|heit|keit|schaft|ité|ción|dad|ditions?)\Z", re.IGNORECASE
)
_WORD = r"(?:[A-ZÄÖÜÀ-ÖØ-Þ][\w’'-]*|[\w-]*\d[\w.-]*\w|\d)"
_NAME = rf"{_WORD}(?: {_WORD})*"
_THINGS = re.compile(
    rf"(?:(?<!\w)(?P<noun>[^\W\d_]+) )?"
    rf"(?P<first>{_NAME}(?:, (?:(?:the|den|die|der|le|la|les|el) )?{_NAME})*),? (?:{_JOINS}|&) "
    rf"(?P<own>(?:(?:{_BEFORE}) )?(?:(?:the|den|dem|die|der|das|le|la|les|du|des|el|los|las|del) )?"
    rf"(?:(?P=noun) )?)(?P<last>{_NAME})"
)
_OWN = re.compile(r"\A(?:the|den|die|der|le|la|les|el) ")
_YEAR = re.compile(r" ((?:19|20)\d\d)\Z")
_SMALL = re.compile(r"[\w-]*\d[\w.-]*|[A-Z]{1,3}")
_CORE = r"[A-Za-z0-9\u30a0-\u30ff][A-Za-z0-9 .\u30a0-\u30ff-]*[A-Za-z0-9\u30a0-\u30ff]|[A-Za-z0-9]"
_CODES_UNSPACED = re.compile(
    rf"(?P<first>(?:{_CORE})[年月号號版]?) ?(?:[和与與及跟、]|以及|と) ?(?P<last>(?:{_CORE})[年月号號版]?)"
)
_TOPIC = re.compile(r"(?:请问|請問)?[^，。、？?的の]{1,16}[的の](?=.)")
_HAN_THINGS = re.compile(
    r"(?:(?<=[，,。的在请問问の、])|\A)(?P<first>[\u30a0-\u30ff\u3400-\u9fff]{2,8}?)(?:[和与與跟]|と)"
    r"(?P<last>[\u30a0-\u30ff\u3400-\u9fff]{2,8}?)(?=的|の|は|が|各|分别|分別|それぞれ|要|需|有|是|在|多少)"
)


def parts_of(question: str) -> list[str]:
    """Return the questions within a question, each standing alone; the question itself if it is only one.

    No name or number of the question is lost: each is in a part.
    """
    parts: list[str] = []
    clauses = _clauses(question.strip())
    for number, clause in enumerate(clauses):
        text = _with_names(clause, clauses[0]) if number else clause
        parts += things_of(text)
    parts = list(dict.fromkeys(parts))
    if not 1 < len(parts) <= PARTS_MAX:
        return [question]
    return [_RESPECTIVELY.sub("", part) for part in parts]


def things_of(clause: str) -> list[str]:
    """Return the clause for each of the things it asks about; itself if it is only one."""
    unspaced = _UNSPACED.search(clause) is not None
    for found in (_CODES_UNSPACED if unspaced else _THINGS).finditer(clause):
        before, after = clause[: found.start("first")], clause[found.end() :]
        names = _siblings(found) if unspaced else _names(found, before, clause)
        if names:
            return [f"{before}{name}{after}" for name in names]
    for found in _HAN_THINGS.finditer(clause) if unspaced else ():
        first, last = found["first"], found["last"]
        if (first[-1] == last[-1] and first != last) or _EACH.search(clause):
            before, after = clause[: found.start()], clause[found.end() :]
            return [f"{before}{name}{after}" for name in (first, last)]
    return [clause]


def possible_things(question: str) -> list[tuple[str, str]]:
    """Return names that are joined, each with the question about it, where words leave open what is asked.

    "Papier und Bio" are two things if a text has each by itself, and "Forschung und Entwicklung" are one.
    """
    if _UNSPACED.search(question) or not (found := _THINGS.search(question)):
        return []
    before, after = question[: found.start("first")], question[found.end() :]
    names = [*(_OWN.sub("", name) for name in found["first"].split(", ")), found["last"]]
    return [(name, f"{before}{name}{after}") for name in names[:PARTS_MAX]]


def joined_things(question: str) -> list[str]:
    """Return the words of a question that name several things: "Funk S und Funk L"."""
    pattern = _CODES_UNSPACED if _UNSPACED.search(question) else _THINGS
    return [question[found.start("first") : found.end()] for found in pattern.finditer(question)]


def _siblings(found: re.Match[str]) -> list[str]:
    first, last = found["first"], found["last"]
    return [first, _completed(last, first)]


def _names(found: re.Match[str], before: str, clause: str) -> list[str]:
    """Return the names that are joined, each with the words that they share; [] if they are no siblings."""
    own, last = found["own"], found["last"]
    firsts = [_OWN.sub("", name) for name in found["first"].split(", ")]
    if _BETWEEN.search(before) or (not before.strip(" ¿¡\"'") and not any(map(_has_code, firsts))):
        return []
    if _GENERAL.search(last) and not re.match(r" \w+s\b", clause[found.end() :]):
        return []
    repeats = bool(own.split()) and own.split()[0].lower() in before.lower().split()[-3:]
    if language_of(clause) == "de" and not repeats and not all(_are_siblings(name, last) for name in firsts):
        return []
    year = _YEAR.search(last)
    if year and not any(re.search(r"\d", name) for name in firsts):
        firsts = [f"{name}{year[0]}" for name in firsts]
    completed = [firsts[0], *(_completed(name, firsts[0]) for name in firsts[1:])]
    words = own.split()
    # What stands before the first name, stands before the others: "for plan S and for plan L".
    spoken = {word.lower() for word in before.split()[-3:]}
    kept = [word for word in words if word.lower() not in spoken]
    return [*completed, " ".join((*kept, _completed(last, firsts[0])))]


def _completed(name: str, first: str) -> str:
    """Return a name with the words that it shares with the first: "Air 3" is "Heron Air 3"."""
    words, others = name.split(), first.split()
    if words[0] in others:
        return " ".join((*others[: others.index(words[0])], *words))
    if len(words) == 1 < len(others) and _SMALL.fullmatch(name) and _SMALL.fullmatch(others[-1]):
        return " ".join((*others[:-1], name))
    return name


def _are_siblings(one: str, other: str) -> bool:
    """Whether two names share a word or a form: German writes every noun in capitals."""
    if set(one.split()) & set(other.split()):
        return True
    return bool(
        _SMALL.fullmatch(one.rsplit(maxsplit=1)[-1]) and _SMALL.fullmatch(other.rsplit(maxsplit=1)[-1])
    )


def _has_code(name: str) -> bool:
    return any(_SMALL.fullmatch(word) for word in name.split())


def _clauses(question: str) -> list[str]:
    """Return the clauses of a question that ask, each with the words it shares with its neighbour."""
    if _UNSPACED.search(question):
        return _unspaced_clauses(question)
    sentences = re.findall(r"[^?]+\?+", question)
    whole = len("".join(sentences)) >= len(question) and all(map(_ASKED.search, sentences))
    found: list[str] = []
    for sentence in sentences if whole else [question]:
        found += _joined_clauses(sentence.strip())
    return found


def _joined_clauses(sentence: str) -> list[str]:
    for found in _JOINED.finditer(sentence):
        left, right = sentence[: found.start()], sentence[found.start("next") :]
        asked = _ASKED.search(left)
        if asked is None or _goes_on(left, found["word"]):
            continue
        if _BARE.match(left):
            left = f"{left}{right.removeprefix(found['next'])}"
        elif _BARE.match(right):
            first = _ASKED_FIRST.match(left)
            right = f"{right.rstrip(' ?')}{left[first.end() :] if first else f' {left}'}?"
        return [f"{left.rstrip(' ,;?')}?", *_joined_clauses(right)]
    return [sentence]


def _goes_on(left: str, word: str) -> bool:
    """Whether a word goes on with a clause that it began before: "the man who came and who left"."""
    return re.search(rf"\w[\s,]+{re.escape(word)}\b", _ASKED_FIRST.sub("", left), re.IGNORECASE) is not None


def _unspaced_clauses(question: str) -> list[str]:
    pieces: list[str] = []
    start = 0
    for found in [*_UNSPACED_JOINED.finditer(question), None]:
        end = found.start() if found else len(question)
        if _UNSPACED_ASKS.search(question, start, end):
            pieces.append(question[start:end])
            start = found.end() if found else end
    if start < len(question) and pieces:
        pieces[-1] = f"{pieces[-1]}，{question[start:]}"
    return pieces or [question]


def _with_names(clause: str, first: str) -> str:
    """Return a clause that stands alone, with the names of the first one if it has none of its own."""
    if clause.split()[-2:] == first.split()[-2:]:
        return clause
    asked = Question(id="part", text=clause, history=(Turn("user", first),))
    if leans(asked):
        standing = standing_alone(asked)
        added = standing.removeprefix(clause)
        return f"{clause}{_ASKED.sub('', added).replace('( ', '(')}" if added != standing else standing
    if named_in(clause):
        return clause
    if topic := _TOPIC.match(first):
        return clause if "的" in clause or "の" in clause else f"{topic[0]}{clause}"
    names = [name for name in named_in(first) if name not in clause]
    return f"{clause} ({', '.join(names)})" if names else clause


def named_in(text: str) -> list[str]:
    """Return the names in a text: with digits, in capitals within it; in German of several words."""
    found = []
    german = language_of(text) == "de"
    for match in re.finditer(_CORE if _UNSPACED.search(text) else _NAME, text):
        name = match[0]
        opens = not text[: match.start()].strip(" ¿¡\"'")
        if _has_code(name) or (not opens and not _UNSPACED.search(text) and (not german or " " in name)):
            found.append(name)
    return found
