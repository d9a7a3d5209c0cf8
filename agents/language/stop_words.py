"""The words that only connect or ask, by language: they say nothing of what a text is about. Pure.

They are closed classes (articles, pronouns, prepositions, auxiliaries, question words), and the verbs and
adverbs that go with any subject ("get", "need", "much").
"""

import re

from agents.language.detection import COMMON
from agents.language.folding import folded

_WORDS = {
    "en": "a about after again all also am an and any are as at be because been before being between both "
    "but by can could did do does doing done during each either every for from get gets give given "
    "gives go goes got had happen happens has have having he her here hers him his how i if in into "
    "is it its itself just let like long many may me mean means might more most much must my need "
    "needed needs no nor not of off often on once one only or other our out over own please same "
    "shall she should so some such take taken takes tell than that the their them then there these "
    "they this those through to too under until up us use used uses very want was we were what when "
    "where whether which while who whom whose why will with within without would you your",
    "de": "aber alle allem allen aller alles als also am an ander andere anderen auch auf aus bei beim "
    "bekomme bekommen bekommt bin bis brauche brauchen braucht da damit dann darf dürfen das dass "
    "dauert dem den denn der des dessen dich die dies diese diesem diesen dieser dieses dir doch "
    "dort du durch ein eine einem einen einer eines er es etwas für gegen geht gibt haben hat hatte "
    "hier hin hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im in ins ist ja jede jedem jeden "
    "jeder jedes jetzt kann kein keine keinen können könnte lange macht machen man mehr mein meine "
    "meinem meinen meiner mich mir mit muss müssen nach nicht nichts noch nun nur ob oder oft ohne "
    "pro sehr sein seine sich sie sind so soll sollte sondern steht um und uns unser unter viel "
    "viele vom von vor wann war warum was weil welche welchem welchen welcher welches wenn wer "
    "werde werden wie wieso will wir wird wo wofür woher wohin wozu worden wurde wurden zu zum zur "
    "zwischen über",
    "fr": "a afin ai ainsi alors après as au aucun aussi autre aux avant avec avez avoir avons bien car "
    "ce ceci cela celle celui ces cet cette chaque chez ci combien comme comment d dans de depuis "
    "des doit doivent dois donc du elle elles en encore entre est et été être eu faire fait faut il "
    "ils j je jusqu l la là le les leur leurs lors lui m ma mais me même mes moi moins mon n ne ni "
    "nos notre nous on ont ou où par pas pendant peu peut peuvent peux plus pour pourquoi puis "
    "puisque qu quand que quel quelle quelles quels qui quoi s sa sans se selon ses si son sont "
    "sous sur t ta te tes toi ton tous tout toute toutes très trop tu un une vers veux voir vos "
    "votre vous y",
    "es": "a al algo algún alguna ante antes aquel aquella así aún aunque bajo bien cada como cómo con "
    "cual cuál cuáles cualquier cuando cuándo cuanta cuánta cuántas cuanto cuánto cuántos de debe "
    "deben debo del desde donde dónde durante e el él ella ellas ellos en entre era es esa ese eso "
    "esta está están estar este esto fue ha hace hacer hacia han hasta hay he la las le les lo los "
    "más me menos mi mis mucho muy nada ni no nos nosotros o otra otro para pero poco por porque "
    "puede pueden puedo pues que qué quien quién se sea según ser si sí sin sobre son su sus "
    "también tan tanto te tener tengo tiene tienen todo todos tu tus un una uno unos va y ya yo",
    "it": "a ad agli ai al alla alle allo anche avere c che chi ci ciò come con così cosa cui d da dagli "
    "dai dal dalla de degli dei del della delle dello deve devo di dopo dove e è ed era essere fa "
    "fare fra gli ha hanno ho i il in io l la le lei li lo loro lui ma mi mia mio molto ne nei nel "
    "nella no noi non o ogni per perché più poi posso prima può qual quale quali quando quanta "
    "quante quanti quanto quella quello questa questo qui se sei senza si sia sono sta su sua sue "
    "sugli sui sul sulla suo tra tu tutti tutto un una uno vi voi",
    "pt": "a ao aos as até com como da das de dele deve do dos e é ela elas ele eles em entre era essa "
    "esse esta está este eu faz fazer foi há isso isto já la lhe lo mais mas me meu minha muito na "
    "não nas nem no nos nós o onde os ou para pela pelas pelo pelos pode podem por porque posso "
    "qual quais quando quanta quantas quanto quantos que quem se sem ser seu seus são só sobre sua "
    "suas também te tem têm ter tudo um uma umas uns você vocês",
    "nl": "aan al alle als altijd andere ben bij daar dan dat de der deze die dit doen door dus een elk "
    "en er ge geen had heb hebben heeft hem het hier hij hoe hoeveel hun ik in is ja je kan krijg "
    "krijgt kun kunnen lang maar me meer men met mij mijn moet moeten na naar niet nog nu of om "
    "omdat ons ook op over te tegen toch toen tot u uit uw van veel voor waar waarom wanneer want "
    "waren was wat we wel welk welke werd wie wij wil worden wordt zal ze zelf zich zij zijn zo "
    "zonder zou",
}
STOP_WORDS = {
    language: frozenset(map(folded, _WORDS[language].split() if language in _WORDS else words))
    for language, words in COMMON.items()
}
"""The words of each language of `agents.language.detection`, folded like terms."""


_LANGUAGES = {
    word: tuple(language for language, words in STOP_WORDS.items() if word in words)
    for word in frozenset[str]().union(*STOP_WORDS.values())
}
_WORD = re.compile(r"[^\W\d_]+")


def stop_words(text: str) -> frozenset[str]:
    """Return the words of the language that has most of the text's words of this kind; else of English."""
    hits: dict[str, int] = {}
    for word in _WORD.findall(folded(text)):
        for language in _LANGUAGES.get(word, ()):
            hits[language] = hits.get(language, 0) + 1
    return STOP_WORDS[max(hits, key=hits.__getitem__) if hits else "en"]
