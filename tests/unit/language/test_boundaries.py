"""Full stops that end no sentence, in several languages; each text is one sentence, or sentences by `|`."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.language.sentences import sentence_spans

TEXTS = {
    "German": [
        "Die Garantie endet am 28. Februar 2027.|Danach gilt sie nicht mehr.",
        "Bitte zahlen Sie bis zum 15. März.|Sonst mahnen wir.",
        "Das Angebot gilt vom 3. bis 9. Juni und ab dem 12. Juli wieder.",
        "Frist: 31. August 2026.|Ort: Berlin.",
        "Geliefert wird am 5. 11. 2026.|Der Betrag ist fällig.",
        "Die Wohnung liegt im 4. Stock.|Der Aufzug hält dort.",
        "Seit dem 19. Jahrhundert und im XX. Jahrhundert war das so.",
        "Es kostet 30.|Kunden zahlen das gern.",
        "Das Ergebnis ist 12.|Das stimmt.",
        "Gegründet wurde sie im Jahr 2019.|Der Sitz ist Köln.",
        "Nach § 7 Abs. 3 Nr. 2 BGB und Art. 12 Abs. 1 GG ist das erlaubt.",
        "Siehe Kap. 4, S. 12, Abb. 3 und Tab. 2 sowie Bd. 1.",
        "Geräte, z. B. Kühlschränke bzw. Herde, kosten inkl. Versand ca. Hundert Euro.",
        "Der Umsatz betrug 12 Mio. Euro.|Er stieg.",
        "Frau Dr. Weber und Hr. Prof. Lang, Tel. 0301234, wohnen in der Str. 5.",
        "Ggf. Aufpreis, d. h. Mehrkosten, u. U. Wartezeit, i. d. R. Montag.",
        "Kapitel IV. Die Haftung",
    ],
    "English": [
        "I am 31.|He is 20.",
        "She turned 31.|August is hot.",
        "The total is 12.|May I pay later?",
        "It began in 2019.|December was cold.",
        "World War II.|The end came in 1945.",
        "He said no.|Then he left.",
        "He loves music.|She sings.",
        "Use approx. Five litres, see Fig. 3, No. 7 and vol. 2.",
        "Ask Mr. Gray, e.g. Monday, vs. Tuesday, cf. Miller.",
        "It weighs 3.5 pounds.|Version 2.3.1 is lighter.",
        "We met on Dec. 31 and on Sept. 1.|It was fun.",
        "1. Open the lid.|2. Fill in water.",
    ],
    "French": [
        "Un animal, p. ex. Un chat, coûte cher.",
        "Mme. Martin et M. Dupont citent l'art. 12 et la p. 5.",
        "Le prix est de 12.|Il augmente.",
    ],
    "Spanish": ["El núm. 5 es del Sr. López y la pág. 3 de la Sra. Gil.", "Cuesta 30.|La entrega es gratis."],
    "Italian": ["Il dott. Rossi e la sig.ra Verdi leggono l'art. 3 e la pag. 9."],
    "Danish": ["Fristen er den 1. december 2026.|Det er godt.", "Han bor på 2. Sal og fra 3. Division."],
    "Czech": ["Platí od 1. ledna 2027.|Potom ne."],
    "Finnish": ["Se alkaa 5. tammikuuta 2027."],
    "Polish": ["Umowa z dnia 3. maja 2026 oraz art. 5 ust. 2 pkt 3 obowiązuje."],
    "Hungarian": ["A határidő 2026. január 5. napja."],
    "Russian": ["Это т. е. так, см. рис. 3 и стр. 5."],
    "mixed": [
        "Der Vertrag endet am 31. Dezember 2026.|I am 31.|He is 20.",
        "保修期两年。|Die Frist endet am 2. Mai.|The price is 3.|The end.",
        "次です｡|你好．|完了。",
        "ポンプの重量は１２．５ｋｇです。|圧力は0．8です。|次です。",
    ],
}


@pytest.mark.parametrize(
    ("language", "text"), [(language, one) for language in TEXTS for one in TEXTS[language]]
)
def test_sentences_end_where_the_language_ends_them(language: str, text: str) -> None:
    sentences = text.split("|")
    written = " ".join(sentences)
    assert [written[start:end] for start, end in sentence_spans(written)] == sentences


@given(
    st.integers(1, 31),
    st.sampled_from(["Januar", "März", "Mai", "August", "Oktober"]),
    st.integers(1900, 2100),
)
def test_a_german_day_is_never_cut(day: int, month: str, year: int) -> None:
    for text in (f"Die Frist endet am {day}. {month} {year}.", f"Gültig bis {day}. {month} {year}."):
        assert sentence_spans(text) == [(0, len(text))]


@given(
    st.from_regex(r"[1-9][0-9]{0,3}[.,][0-9]{1,4}", fullmatch=True),
    st.sampled_from(["The", "Der", "Le", "El"]),
)
def test_no_number_is_cut(number: str, article: str) -> None:
    text = f"{article} {number} kg, {number}. {article} {number}"
    assert all(text[start - 1 : start + 1].strip(".,") or start == 0 for start, _ in sentence_spans(text))
    assert " ".join(text[start:end] for start, end in sentence_spans(text)) == text


def test_two_lines_apart_are_two_sentences() -> None:
    text = "Siehe Nr.\n\n5 Stück"
    assert len(sentence_spans(text)) == 2
    assert sentence_spans("Siehe Nr.\n5 oben") == [(0, 16)]


@pytest.mark.parametrize(
    "text", ["1. " * 2_000, "am 1. Mai " * 600, "z. B. " * 1_000, "XIV. A " * 900, "Nr.\n" * 1_500]
)
def test_a_hostile_text_takes_a_bounded_time(text: str) -> None:
    began = process_time()
    sentence_spans(text)
    assert process_time() - began < 2
