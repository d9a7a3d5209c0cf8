"""The language in which the answer of a question says that it is not known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.language.detection import NOT_KNOWN, language_of, recognised

QUESTIONS = {
    "en": ["How long is the warranty?", "Who was the founder of the company?", "Heron Air 3 battery"],
    "ar": ["ما هي مدة الضمان؟"],
    "cs": ["Jak dlouho platí záruka?", "Kolik stojí doprava do zahraničí?"],
    "da": ["Hvor længe gælder garantien?", "Hvad koster det at sende en pakke?"],
    "de": ["Wie lange gilt die Garantie?", "Was kostet der Versand?", "Wo ist mein Paket?", "Größe?"],
    "el": ["Πόσο διαρκεί η εγγύηση;"],
    "es": ["¿Cuánto dura la garantía?", "Donde puedo devolver el producto", "¿Quién es el director?"],
    "fa": ["گارانتی چقدر طول می‌کشد؟"],
    "fi": ["Kuinka kauan takuu on voimassa?", "Mikä on hinta?"],
    "fr": ["Combien de temps dure la garantie ?", "Où est mon colis ?", "Quel est le prix ?"],
    "he": ["מה משך האחריות?"],
    "hi": ["वारंटी कितने समय की है?"],
    "hu": ["Meddig tart a garancia?", "Mennyibe kerül a szállítás?"],
    "id": ["Berapa lama garansi produk ini?", "Apa warna yang tersedia?"],
    "it": ["Quanto dura la garanzia?", "Dove posso restituire il prodotto?", "Chi è il direttore?"],
    "ja": ["保証期間はどれくらいですか？"],
    "ko": ["보증 기간은 얼마나 되나요?"],
    "nb": ["Hva koster det å sende en pakke?", "Hvor lenge varer garantien?"],
    "nl": ["Hoe lang geldt de garantie?", "Wat kost het?", "Waar is mijn pakket?"],
    "pl": ["Jak długo trwa gwarancja?", "Ile kosztuje wysyłka do Niemiec?"],
    "pt": ["Quanto tempo dura a garantia do produto?", "Onde posso devolver o produto?", "Quem é o diretor?"],
    "ro": ["Cât costă transportul în străinătate?"],
    "ru": ["Сколько длится гарантия?"],
    "sv": ["Hur länge gäller garantin?", "Vad är priset?"],
    "th": ["การรับประกันนานเท่าไร"],
    "tr": ["Garanti ne kadar sürüyor?", "Kargo kaç gün sürer?"],
    "uk": ["Скільки триває гарантія, і як її отримати?"],
    "vi": ["Bảo hành trong bao lâu?"],
    "zh": ["保修期多长？", "Heron Air 3 的电池能用多久？", "著名的大学在哪里？"],
    "zh-Hant": ["保固期多長？", "濾網多久清洗一次？", "Heron Air 3 的電池能用多久？"],
}


@pytest.mark.parametrize(
    ("language", "question"), [(language, one) for language, asked in QUESTIONS.items() for one in asked]
)
def test_a_question_is_recognised_by_its_script_letters_and_words(language: str, question: str) -> None:
    assert language_of(question) == language


def test_each_language_has_its_own_sentence() -> None:
    assert QUESTIONS.keys() == NOT_KNOWN.keys()
    assert len(set(NOT_KNOWN.values())) == len(NOT_KNOWN)


@pytest.mark.parametrize("question", ["", "42", "???", "Kotae"])
def test_a_question_in_no_known_language_is_answered_in_english(question: str) -> None:
    assert language_of(question) == "en"
    assert recognised(question) is None


@given(st.text())
def test_any_text_has_a_language(text: str) -> None:
    assert language_of(text) in NOT_KNOWN
