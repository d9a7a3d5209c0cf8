"""Ways to write one word, folded into one."""

import unicodedata
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.language.folding import bare_words, folded, respelled
from agents.language.keys import term_keys

ONE_WORD = [
    [
        "warranty",
        "war\u00adran\u00adty",
        "war\u200branty",
        "\ufeffwarranty",
        "WARRANTY",
        "ｗａｒｒａｎｔｙ",
        "war\u2060ranty",
    ],
    ["office", "oﬃce", "of\u200cfice"],
    ["guarantee", "guaran-\ntee", "guaran-\r\n  tee", "guaran\u2010\ntee"],
    ["cafe", "café", "cafe\u0301", "CAFÉ"],
    ["Gewährleistung", "Gewaehrleistung", "GEWÄHRLEISTUNG", "Gewa\u0308hrleistung"],
    ["Maßstab", "Massstab", "MASSSTAB", "MAẞSTAB"],
    ["Übergröße", "Uebergroesse", "UEBERGRÖSSE"],
    ["København", "Koebenhavn"],
    ["Århus", "Aarhus"],
    ["hélicoptère", "helicoptere"],
    ["œuvre", "oeuvre"],
    ["łódka", "lodka"],
    ["İzmir", "izmir", "IZMIR"],
    ["ещё", "еще", "ЕЩЁ"],
    ["Οδυσσέας", "ΟΔΥΣΣΕΑΣ", "Οδυσσεας"],
    ["λόγος", "ΛΟΓΟΣ", "λογοσ"],
    ["الضمان", "الضَّمَان", "الضـــمان", "الض\u0651مان"],
    ["إعادة", "اعادة", "أعاده"],
    ["שלום", "שָׁלוֹם"],
    ["保證書", "保证书"],
    ["裝置說明", "装置说明"],
    ["サーバー", "サーバ", "ｻｰﾊﾞｰ"],
    ["プリンター", "プリンタ", "ﾌﾟﾘﾝﾀ"],
    ["١٢٣", "123", "۱۲۳", "१२३", "１２３"],
    ["don't", "don’t", "donʼt"],
    ["v2.4.0", "2.4.0", "V2.4.0"],
    ["hours", "hours¹", "hours²³"],
    ["m2", "m²", "m²".upper()],
    ["10^6", "10⁶"],
    ["十二个月", "12个月", "１２個月"],
    ["二〇二四年", "2024年"],
]


@pytest.mark.parametrize("forms", ONE_WORD, ids=lambda forms: forms[0])
def test_forms_of_one_word_meet(forms: list[str]) -> None:
    assert len({folded(form) for form in forms}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("schön", "schon"),
        ("juego", "jugo"),
        ("año", "ano"),
        ("й", "и"),
        ("が", "か"),
        ("コー", "コ"),
        ("ở", "o"),
        ("v2", "2"),
        ("well-known", "wellknown"),
        ("Müller-\nMeier", "MüllerMeier"),
    ],
)
def test_different_words_stay_different(one: str, other: str) -> None:
    assert folded(one) != folded(other)


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("Die Kündigung, größer", ["kundigung", "grosser"]),
        ("Malmö, Århus og Tromsø", ["malmo", "arhus", "tromso"]),
        ("mañana café", ["manana"]),
        ("cà phê ở đâu ABC", ["ca", "phe", "o", "dau"]),
        ("plain", []),
    ],
)
def test_words_with_telling_marks_also_have_a_bare_form(text: str, bare: list[str]) -> None:
    assert bare_words(text) == bare


INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff\u200e"


@given(st.lists(st.tuples(st.sampled_from("abäßéщה保サ5. "), st.sampled_from([*INVISIBLE, ""])), max_size=40))
def test_invisible_characters_anywhere_change_nothing(letters: list[tuple[str, str]]) -> None:
    seen = "".join(letter for letter, _ in letters)
    written = "".join(letter + invisible for letter, invisible in letters)
    assert folded(written) == folded(seen)


@given(st.text(st.characters(codec="utf-8", max_codepoint=0x24F), max_size=60))
def test_composed_and_decomposed_letters_are_the_same(text: str) -> None:
    decomposed = unicodedata.normalize("NFD", text)
    assert folded(decomposed) == folded(unicodedata.normalize("NFC", text))


HOSTILE = ["ä " + "x" * 200_000, "a-\n" * 60_000, "a-" + " " * 200_000, "ơ" + "x" * 200_000, "ー" * 200_000]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:4]))
def test_a_hostile_text_takes_no_longer_than_any_other(text: str) -> None:
    # The square of such a length takes minutes.
    began = process_time()
    folded(text)
    bare_words(text)
    assert process_time() - began < 5


def test_marks_that_are_written_out_or_left_out_meet() -> None:
    assert "kundigungsfrist" in respelled("kuendigungsfrist")
    assert "kuendigungsfrist" in respelled("kundigungsfrist")
    assert respelled("auen") == []
    keys = [term_keys(word) for word in ("Kündigungsfrist", "Kuendigungsfrist", "Kundigungsfrist")]
    assert keys[0] == keys[1] == keys[2]


@pytest.mark.parametrize(
    ("one", "other"), [("الضمان", "ضمان"), ("والضمان", "ضمان"), ("十二个月", "12个月"), ("第三章", "第3章")]
)
def test_forms_that_are_compared_have_one_key(one: str, other: str) -> None:
    assert term_keys(one) == term_keys(other)
