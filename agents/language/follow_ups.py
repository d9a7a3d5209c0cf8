"""Makes a question that leans on its history stand alone, without a model. Pure.

Two forms are told apart. An ellipsis ("And for the Basic plan?") repeats the question before it, with its own
words in place of the name that it replaces. A reference ("How heavy is it?") asks something new of the names
that were spoken of, so these are added to it.
"""

import re
from collections.abc import Sequence

from agents.language.terms import terms
from schemas.question import Question, Turn

SAID_MAX = 600
"""Characters of an earlier turn that are read."""
LEVELS = 3
"""Earlier questions that are followed, if each leans on the one before it."""
NAMES_ADDED = 3
"""Names of the conversation that a reference is given."""
SHORT = 2
"""A question of at most this many words, none of them a name, asks nothing by itself."""
WEAK_WITHIN = 4
"""A word that may refer to something ("that", "there") does so in a question of at most this many telling
words."""

_WORDS = re.compile(r"\w+(?:[.'’-]\w+)*")
_LEAD = re.compile(
    r"\A\W*(?:"
    # en, de, fr, es, it, pt, nl
    r"(?:and|but|or|also|what about|how about|what of|same for|und|aber|oder|auch|sondern"
    r"|wie (?:sieht|steht) es(?: denn)?(?: aus)?(?: mit| bei| in)?|wie ist (?:es|das) (?:mit|bei|in)"
    r"|was ist mit"
    r"|et|mais|qu['’]en est-il (?:de|du|des|pour)|y(?! a)|pero|qué (?:tal|hay de|pasa con)|che dire di|ma"
    r"|e|mas|quanto a|maar|hoe zit het met|а|и|но|а как насчет)\b"
    # zh, ja, ko
    r"|那么?|而|还有|那麼|還有|では|じゃあ?|それでは|それなら|그럼|그러면|그리고)\W*",
    re.IGNORECASE,
)
_TRAIL = re.compile(r"(?:呢|は|はどう(?:ですか|でしょうか)?|についても?|은요|는요)\W*\Z")
_REFERS = re.compile(
    r"\b(?:it(?! (?:true|possible|necessary|allowed|required|safe|ok)\b)|its|they|them|their|theirs"
    r"|these|those|ones|th(?:is|at) one|he|him|his|she|her|hers|the (?:same|latter|former|other)"
    r"|ihn|ihm|ihnen|dessen|deren|dafür|damit|davon|dazu|daran|darauf|darin|dabei|diese[rsmn]?|jene[rsmn]?"
    r"|ils|elles?|lui|leurs?|celui|celle|ceux|celles|cela|ça"
    r"|él|ella|ellos|ellas|eso|esto|ese|esa|esos|esas|ahí|allí|esso|essa|esse|isso|ele|ela|eles|elas"
    r"|questo|questa|quello|quella|lei|loro|deze|hij|zij|hun|его|её|ее|их|он|она|они|это|этот|эта)\b"
    r"|它|他们|她们|他|她|这(?!样)|那(?=个|些|里|儿|种|款|台|家)|其(?!他|它|实)|該|该|這|牠"
    r"|それ|これ|あれ|その|この|あの|そこ|ここ|同じ|彼女?|그것|이것|그건|이건",
    re.IGNORECASE,
)
_MAY_REFER = re.compile(
    # "Sie" in capitals is the one who is spoken to; "y a-t-il" and "faut-il" ask of nothing.
    r"\b(?:that|this|there|then|one|er|(?-i:sie)|dort|dann|su|sus|sa|ses|daar|dat)\b|(?<!a-t)(?<!faut)-il\b"
    r"|之前|上面|前者|后者|後者",
    re.IGNORECASE,
)
_PERSON = re.compile(r"\b(?:he|him|his|she|her|hers)\b|他|她|彼", re.IGNORECASE)
_PREPOSITION = re.compile(
    r"\A(?:for|in|on|at|with|from|to|by|during|after|before|if|when|für|bei|mit|von|aus|nach|im|am|zu[rm]?|wenn"
    r"|pour|avec|chez|dans|à|au|aux|si|para|con|desde|en|por|per|nel|nella|voor|met|bij|для|в|на|с)\b",
    re.IGNORECASE,
)
# A name: words in capitals or with digits in a row, or a text in quotation marks.
_QUOTED = re.compile(r"[\"“„«「『《]([^\"“”„«»「」『』《》]{2,60})[\"”“»」』》]")
_NAME = re.compile(
    r"[^\W\d_]*[^\W_]*\d[\w.-]*"
    r"|[A-ZÄÖÜÀ-ÞА-Я][\w'’-]*(?:[ ](?:of|the|de|du|&)(?=[ ][A-ZÄÖÜÀ-ÞА-Я\d])|[ ](?=[A-ZÄÖÜÀ-ÞА-Я\d])"
    r"|[A-ZÄÖÜÀ-ÞА-Я\d][\w.'’-]*)*"
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_CORE = re.compile(r"[A-Za-z0-9]+(?:[ .-][A-Za-z0-9]+)*")
_PIECE = re.compile(
    r"(?:(?<=[A-Za-z0-9]) (?=[A-Za-z0-9])|[^\s\u3000-\u303f\uff00-\uff0f\uff1a-\uff20,.?!;:()])+"
)
_PARTICLES = re.compile(
    "的|是|了|在|吗|呢|吧|有|和|与|每|会|要|能|可以|需要|应该|请问|多少|多久|多长|什么|怎么|如何|哪|谁|几|为什么"
    "|は|が|を|に|で|と|の|も|へ|から|まで|ですか|ますか|いくつ|いくら|いつ|どこ|だれ|誰|何|なに|どの|どれ"
)


def leans(question: Question) -> bool:
    """Whether a question cannot be understood without its history, as far as its words show."""
    return bool(_last_said(question.history, question.text)) and _leans(question.text)


def standing_alone(question: Question) -> str:
    """Return the question's text, with the words of its history that it leans on; else as it is."""
    return _standing(question.text, question.history, LEVELS)


def _standing(text: str, history: Sequence[Turn], levels: int) -> str:
    if not levels or not _leans(text):
        return text
    at = _last_said(history, text)
    if not at:
        return text
    said = _standing(history[at - 1].content[:SAID_MAX], history[: at - 1], levels - 1)
    if _LEAD.match(text) or (_TRAIL.search(text) and not _refers(text)):
        repeated = _repeated(said, text)
        if repeated:
            return repeated
    answered = next((turn.content for turn in history[at:] if turn.role == "assistant"), "")
    spoken = _spoken_of(said, answered[:SAID_MAX], text)
    return f"{text} ({', '.join(spoken)})" if spoken else text


def _leans(text: str) -> bool:
    if _LEAD.match(text) or _refers(text):
        return True
    return not _names(text) and (len(_telling(text)) <= 1 or 0 < len(_spaced(text)) <= SHORT)


def _spaced(text: str) -> list[str]:
    return [] if _UNSPACED.search(text) else _WORDS.findall(text)


def _refers(text: str) -> bool:
    return bool(_REFERS.search(text) or (_MAY_REFER.search(text) and len(_telling(text)) <= WEAK_WITHIN))


def _last_said(history: Sequence[Turn], text: str) -> int:
    """Return the place of the user's last turn, counted from 1; 0: there is none."""
    for at in range(len(history), 0, -1):
        turn = history[at - 1]
        if turn.role == "user" and turn.content.strip() and turn.content != text:
            return at
    return 0


def _telling(text: str) -> list[str]:
    """Return the words that say something: all but the shortest, which only ask or connect."""
    bare = _REFERS.sub(" ", _PARTICLES.sub(" ", text))
    return [term for term in terms(bare) if len(term) > 3 or _UNSPACED.match(term) or term.isdigit()]


def _names(text: str) -> list[str]:
    """Return the names in a text, in order: quoted, in capitals within a sentence, or with digits."""
    bare = _LEAD.sub("", text, count=1) if _LEAD.match(text) else text
    found = [quoted[1] for quoted in _QUOTED.finditer(bare)]
    if _UNSPACED.search(bare):
        pieces = (piece[0] for piece in _PIECE.finditer(_TRAIL.sub("", bare)))
        parts = (part for piece in pieces for part in _PARTICLES.split(piece))
        return [*found, *(part for part in parts if _CORE.search(part))]
    first = _WORDS.search(bare)
    for match in _NAME.finditer(bare):
        name = match[0].strip(" .'’-")
        # The first word of a sentence is in capitals whatever it is.
        opens = bare is text and first is not None and match.start() == first.start()
        said_of = any(map(str.isalpha, name)) and len(name) > 1
        if (said_of or _YEAR.fullmatch(name)) and (_is_strong(name) or not opens):
            found.append(name)
    return found


def _spoken_of(said: str, answered: str, text: str) -> list[str]:
    """Return the names that a reference can mean: of the question before it, then of the answer."""
    spoken = _strong(said) or _names(said) or _topic(said)
    new = [name for name in _names(answered) if " " in name and name not in said]
    if _strong(said) and not _PERSON.search(text):
        new = []
    known = set(terms(text))
    return [
        name for name in dict.fromkeys([*spoken[:NAMES_ADDED], *new[:1]]) if not known.issuperset(terms(name))
    ]


def _strong(text: str) -> list[str]:
    """Return the names of several words, in capitals or with digits: German writes every noun like a name."""
    return [name for name in _names(text) if _is_strong(name)]


def _is_strong(name: str) -> bool:
    return " " in name or any(map(str.isdigit, name)) or name[1:2].isupper()


def _topic(said: str) -> list[str]:
    """Return what a question without names is about: its telling words, or its first piece."""
    if _UNSPACED.search(said):
        parts = [part for piece in _PIECE.findall(said) for part in _PARTICLES.split(piece) if len(part) > 1]
        return parts[:2]
    wanted = set(_telling(said))
    return [" ".join(word for word in _WORDS.findall(said) if wanted.intersection(terms(word)))]


def _repeated(said: str, text: str) -> str:
    """Return the question before, with the names of `text` in place of their siblings; "": it asks for more.

    "And the weight?" asks something new of a name; "And for adults?" asks the same again.
    """
    rest = _TRAIL.sub("", _LEAD.sub("", text, count=1)).strip(" ?？。.!") or text
    spoken = _names(said)
    replaced = said
    for name in _names(text):
        if like := _alike(name, spoken):
            replaced = replaced.replace(like, _in_place(name, like))
            rest = " ".join(rest.replace(name, " ").split())
    if replaced == said and _strong(said) and not _PREPOSITION.match(rest):
        return ""
    more = set(_telling(rest)) - set(terms(replaced))
    return f"{replaced} {rest}" if more else replaced


def _alike(name: str, spoken: Sequence[str]) -> str:
    """Return the spoken name of which `name` is a sibling: one that shares a word or a form with it."""
    words = set(terms(name))
    shared = [other for other in spoken if other != name and words.intersection(terms(other))]
    if shared:
        return shared[0]
    form = _form(name)
    formed = [other for other in spoken if other != name and _form(other) == form]
    if formed:
        return formed[-1]
    # "K20" for "Lumo K10"; without spaces, a name runs into the words before it.
    parts = [part for other in spoken for part in (*other.split(), *_CORE.findall(other))]
    return next((part for part in parts if part != name and "1" in form and _form(part) == form), "")


def _in_place(name: str, other: str) -> str:
    """Return `name` with the words before it in `other`: "Air 2" for "Heron Air 3" is "Heron Air 2"."""
    first, *_ = name.split()
    before, found, _ = other.partition(first)
    return f"{before}{name}" if found else name


def _form(name: str) -> str:
    return re.sub(r"[A-Z]+", "A", re.sub(r"\d+", "1", re.sub(r"[^\W\d_A-Z]+", "a", name)))
