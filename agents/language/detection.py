"""The language of a question, by its script, its letters and its commonest words; and "I do not know" in it.

It decides on the language of one sentence alone, so a wrong guess costs little: no library is worth it here.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from agents.language.folding import is_traditional

NOT_KNOWN: Mapping[str, str] = MappingProxyType(
    {
        "en": "I do not know: nothing that I was given answers this.",
        "ar": "لا أعرف: لا شيء مما لديّ يجيب عن هذا السؤال.",
        "cs": "Nevím: nic z toho, co mám k dispozici, na tuto otázku neodpovídá.",
        "da": "Det ved jeg ikke: intet af det, jeg har, besvarer spørgsmålet.",
        "de": "Das weiß ich nicht: Nichts, was mir vorliegt, beantwortet diese Frage.",
        "el": "Δεν γνωρίζω: τίποτα από όσα έχω δεν απαντά σε αυτή την ερώτηση.",
        "es": "No lo sé: nada de lo que tengo responde a esta pregunta.",
        "fa": "نمی‌دانم: هیچ‌یک از اطلاعاتی که دارم به این پرسش پاسخ نمی‌دهد.",
        "fi": "En tiedä: mikään saamani aineisto ei vastaa tähän kysymykseen.",
        "fr": "Je ne sais pas : rien de ce dont je dispose ne répond à cette question.",
        "he": "אינני יודע: שום דבר ממה שברשותי אינו עונה על השאלה.",
        "hi": "मुझे नहीं पता: मेरे पास उपलब्ध जानकारी में इसका उत्तर नहीं है।",
        "hu": "Nem tudom: a rendelkezésemre álló anyagok egyike sem válaszol erre a kérdésre.",
        "id": "Saya tidak tahu: tidak ada informasi yang saya miliki yang menjawab pertanyaan ini.",
        "it": "Non lo so: nulla di ciò che ho risponde a questa domanda.",
        "ja": "わかりません。手元の資料には答えがありません。",
        "ko": "모르겠습니다. 주어진 자료에는 답이 없습니다.",
        "nb": "Det vet jeg ikke: ingenting av det jeg har, svarer på spørsmålet.",
        "nl": "Dat weet ik niet: niets van wat ik heb, beantwoordt deze vraag.",
        "pl": "Nie wiem: żaden z dostępnych mi materiałów nie odpowiada na to pytanie.",
        "pt": "Não sei: nada do que tenho responde a esta pergunta.",
        "ro": "Nu știu: nimic din ce am la dispoziție nu răspunde la această întrebare.",
        "ru": "Я не знаю: в имеющихся материалах нет ответа на этот вопрос.",
        "sv": "Det vet jag inte: inget av det jag har besvarar frågan.",
        "th": "ไม่ทราบ: ข้อมูลที่มีไม่มีคำตอบสำหรับคำถามนี้",
        "tr": "Bilmiyorum: elimdeki bilgilerin hiçbiri bu soruyu yanıtlamıyor.",
        "uk": "Я не знаю: у наявних матеріалах немає відповіді на це запитання.",
        "vi": "Tôi không biết: không có thông tin nào tôi có trả lời được câu hỏi này.",
        "zh": "我不知道：现有资料中没有答案。",
        "zh-Hant": "我不知道：現有資料中沒有答案。",
    }
)
"""The sentence in each language that is recognised."""

_SCRIPTS = [
    (re.compile(pattern), language)
    for pattern, language in (
        (r"[\u3040-\u30ff]", "ja"),  # before Chinese: Japanese mixes kana with Chinese characters
        (r"[\uac00-\ud7af\u1100-\u11ff]", "ko"),
        (r"[\u3400-\u9fff]", "zh"),
        (r"[іїєґІЇЄҐ]", "uk"),
        (r"[\u0400-\u04ff]", "ru"),
        (r"[پچژگکی]", "fa"),
        (r"[\u0600-\u06ff]", "ar"),
        (r"[\u0590-\u05ff]", "he"),
        (r"[\u0370-\u03ff]", "el"),
        (r"[\u0900-\u097f]", "hi"),
        (r"[\u0e00-\u0e7f]", "th"),
    )
]
_WORDS = {
    "en": "what who when where which how why is are was the does do did can could will i my of in for to on "
    "it and a an has have much many long there am he she we they you that this with at from by be or not if",
    "cs": "co kdo kdy kde který která které jak proč je jsou kolik má v na se za do pro můj dlouho stojí",
    "da": "hvad hvem hvornår hvor hvilken hvilke hvordan hvorfor er den det en et jeg har kan af på til og "
    "længe meget mange",
    "de": "was wer wann wo welche welcher welches wie warum wieso ist sind der die das den dem ein eine hat "
    "haben kann ich mein meine von im für zu auf und gibt es viel viele lange nicht am vom zum zur bis bei "
    "mit er sie wir des nach seit wird werden muss gilt",
    "es": "qué que quién quien cuándo cuando dónde donde cuál cual cómo como cuánto cuánta cuántos cuanto "
    "por es son el la los las un una tiene puedo mi de del en para y hay dura cuesta",
    "fi": "mikä mitä kuka milloin missä miten miksi on ovat onko kuinka paljon voiko minun ja kauan",
    "fr": "que quoi qui quand où ou quel quelle quels quelles comment pourquoi combien est sont le la les un "
    "une des du de a je mon ma dans pour et il elle y",
    "hu": "mi mit ki mikor hol melyik hogyan miért mennyi hány van az a egy és meddig mennyibe",
    "id": "apa siapa kapan mana bagaimana mengapa kenapa berapa adalah yang di ke dari untuk saya dan lama",
    "it": "che cosa chi quando dove quale quali come perché quanto quanta quanti è sono il lo la i gli le un "
    "una ha posso mio di del della in per e c dura costa",
    "nb": "hva hvem når hvor hvilken hvilke hvordan hvorfor er den det en et jeg har kan av på til og lenge "
    "mye mange",
    "nl": "wat wie wanneer waar welke hoe waarom is zijn de het een heeft kan ik mijn van in voor op en er "
    "hoeveel lang",
    "pl": "co kto kiedy gdzie który która które jak dlaczego ile jest są ma w na się do z mój czy długo",
    "pt": "que quem quando onde qual quais como porque quanto quanta quantos é são o a os as um uma tem "
    "posso meu minha de do da em no na para e há dura custa",
    "ro": "ce cine când unde care cum cât câte este sunt un o are pot meu de la în pentru și costă durează",
    "sv": "vad vem när var vilken vilket vilka hur varför är den det en ett jag har kan av på till och länge "
    "mycket många",
    "tr": "ne kim nerede hangi nasıl neden niçin kaç mi mı mu mü bir ve için kadar zaman var",
    "vi": "gì ai khi nào đâu bao nhiêu thế sao tại là có của tôi và được không lâu",
}
COMMON = {language: frozenset(words.split()) for language, words in _WORDS.items()}
_LETTERS = {
    "cs": "ěřů",
    "da": "øæ",
    "de": "ßäöü",
    "es": "ñ¿¡",
    "fr": "çœêèù",
    "hu": "őű",
    "nb": "øæ",
    "pl": "ąęłśźż",
    "pt": "ãõ",
    "ro": "șță",
    "sv": "å",
    "tr": "ğış",
    "vi": "đơưạảấầếềộớờ",
}
_WORD = re.compile(r"[^\W\d_]+")
_HAN = re.compile(r"[\u3400-\u9fff]")


def language_of(question: str) -> str:
    """Return the code of the question's language, a key of `NOT_KNOWN`; English if it is not recognised."""
    language = recognised(question) or "en"
    if language == "zh":
        return "zh-Hant" if any(map(is_traditional, _HAN.findall(question))) else "zh"
    return language


def recognised(text: str) -> str | None:
    """Return the code of a short text's language; None if nothing in it tells."""
    folded = text.casefold()
    letters: list[str] = []
    if not text.isascii():
        for script, language in _SCRIPTS:
            if script.search(text):
                return language
        folded = folded.replace("i̇", "i")
        letters = [language for language, own in _LETTERS.items() if any(letter in folded for letter in own)]
    words = set(_WORD.findall(folded))
    scores = {language: 2 * len(words & common) for language, common in COMMON.items()}
    for language in letters:
        scores[language] += 1
    best = max(scores, key=scores.__getitem__)
    return best if scores[best] else None
