"""Texts as BM25 vectors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.documents.tokens import estimate_tokens
from agents.knowledge.sparse import QUERY_TOKENS, SparseEncoder, shorten
from agents.language.subwords import asked_pieces, pieces

ENCODER = SparseEncoder()


def query(text: str) -> dict[int, float]:
    vector = ENCODER.query(text)
    return dict(zip(vector.indices, vector.values, strict=True))


def document(text: str, title: str = "") -> dict[int, float]:
    vector = ENCODER.document(title, text)
    return dict(zip(vector.indices, vector.values, strict=True))


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ("lighthouse", "The LIGHTHOUSES stood."),
        ("保修期", "电池的保修期是六个月"),
        ("灯", "灯塔"),
        ("ﾃｽﾄ", "テスト"),
        ("１９９９", "In 1999 it was."),
        ("1500", "1,500 crowns"),
        ("등대", "등대지기는"),
        ("маяка", "Смотритель маяка."),
        ("7", "Release 7 is out"),
        ("MP3", "an mp3 file"),
        ("35 A", "rated 35 A"),
        ("35", "a fuse of 35 A"),
        ("3,5", "weighs 3.5 tonnes"),
        ("2.3.1", "since v2.3.1"),
        ("python 3.11", "Python3.11 is required"),
        ("5 kg", "holds 5kg"),
        ("10GB", "10 GB a month"),
        ("89", "only €89."),
        ("12500", "12\u202f500 habitants"),
        ("31.12.2026", "until 2026-12-31"),
        ("Kuendigungsfrist", "Die Kündigungsfrist"),
        ("STRASSENFEST", "ein Straßenfest"),
        ("malfunctions", "covers mal\u00adfunc\u00adtions"),
        ("guarantee", "the guaran-\ntee covers"),
        ("الضمان", "مدة الضّمان سنة"),
        ("保證期", "保证期为两年"),
        ("٤٠", "40 litres"),
        ("ΑΘΗΝΑΣ", "της Αθήνας"),
    ],
)
def test_terms_of_a_question_match_terms_of_a_text(asked: str, written: str) -> None:
    wanted = {index for index, weight in query(asked).items() if weight == 1.0} or set(query(asked))
    assert wanted
    assert wanted <= set(document(written))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("12", "13"),
        ("上海", "海上"),
        ("cat", "dog"),
        ("3.5", "35"),
        ("1.12", "11.2"),
        ("3.11", "311"),
        ("1.10", "1.1"),
        ("2.3.1", "23.1"),
        ("0.25", "25"),
    ],
)
def test_different_words_have_different_terms(one: str, other: str) -> None:
    assert {i for i, w in query(one).items() if w == 1.0}.isdisjoint(
        i for i, w in query(other).items() if w == 1.0
    )


def test_a_single_character_weighs_less_than_a_pair() -> None:
    assert sorted(query("灯塔").values()) == [0.25, 0.25, 1.0]


def test_the_title_is_indexed() -> None:
    assert {index for index, weight in query("保修 warranty").items() if weight == 1.0} <= set(
        document("Text.", title="保修 warranty")
    )


def test_a_term_weighs_more_if_repeated_and_in_a_shorter_text() -> None:
    (term,) = (index for index, weight in query("灯塔").items() if weight == 1.0)
    assert (
        document("灯塔灯塔的光")[term] > document("灯塔的光的光")[term] > document("灯塔" + "的光" * 90)[term]
    )
    (number,) = query("42")
    assert (
        document("42 and 42")[number]
        > document("42 and 43")[number]
        > document("42 " + "word other " * 90)[number]
    )


def score(question: str, text: str) -> float:
    vector = document(text)
    return sum(weight * vector.get(index, 0.0) for index, weight in query(question).items())


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ("Garantie Waschmaschine", "Die Waschmaschinengarantie gilt fünf Jahre."),
        ("Frist für die Kündigung", "Die Kündigungsfrist beträgt drei Monate."),
        ("Kundenservice Telefon", "Das Telefon unseres Service: für Kunden gratis."),
        ("Wann öffnet die Bibliothek?", "Die Stadtbibliothek und ihre Öffnungszeiten sind im Aushang."),
        ("Filter vom Geschirrspüler", "Der Geschirrspülerfilter wird wöchentlich gereinigt."),
        ("garantie wasmachine", "De wasmachinegarantie is vijf jaar en het apparaat ook."),
        ("Möbel Lieferung", "Möbellieferungen"),
    ],
)
def test_parts_of_a_compound_are_found(asked: str, written: str) -> None:
    other = "Der Hausmeister wohnt im Erdgeschoss und ist für den Müll da."
    assert score(asked, written) > score(asked, other)


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ("Kundigungsfrist", "Die Kuendigungsfrist"),
        ("Mueller", "Herr Muller"),
        ("การรับประกัน", "สินค้ารับประกันสองปี"),
        ("第十二条", "第12条"),
    ],
)
def test_another_spelling_is_found(asked: str, written: str) -> None:
    assert score(asked, written) > 0


@pytest.mark.parametrize(
    "text",
    [
        "The characteristics of an international organization are described in this documentation.",
        "保修期两年",
    ],
)
def test_texts_of_languages_without_compounds_have_no_pieces(text: str) -> None:
    assert not pieces(text.lower(), text)
    assert not asked_pieces(text.lower(), "What are the characteristics?")


@given(st.text(max_size=3_000))
def test_any_text_has_a_vector(text: str) -> None:
    assert all(weight > 0 for weight in document(text).values())
    assert all(0 < weight <= 1 for weight in query(text).values())


@pytest.mark.parametrize(
    ("asked", "best", "second"),
    [
        ("Kündigung", "Kündigung", "Kundigung"),
        ("Zürich", "Zuerich", "Zurich"),
        ("Kundigung", "Kundigung", "Kündigung"),
        ("12500", "12500", "12 500"),
    ],
)
def test_a_word_without_its_marks_is_found_but_counts_less(asked: str, best: str, second: str) -> None:
    scores = [score(asked, f"Die {text} ist da.") for text in (best, second, "other")]
    assert scores[0] > scores[1] > scores[2] == 0


@given(st.text(alphabet=st.sampled_from("a bc.字漢\u3000\n"), max_size=6_000))
def test_shortening_changes_only_long_texts(text: str) -> None:
    short = shorten(text)
    assert estimate_tokens(short) <= QUERY_TOKENS + 2
    if estimate_tokens(text) <= QUERY_TOKENS and len(text) <= 8 * QUERY_TOKENS:
        assert short == text


@pytest.mark.parametrize(
    "text", ["word " * 6_000, "字" * 32_768, "x" * 32_768, " " * 32_768, "\ufdfa" * 32_768]
)
def test_the_longest_question_has_a_bounded_number_of_terms(text: str) -> None:
    assert len(query("start " + text + " finish")) < 1_000
