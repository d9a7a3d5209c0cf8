"""The encoding of a file is recognised, or the file is refused."""

import codecs

import pytest

from streams.ingestion.encodings import decoded
from streams.ingestion.parts import UnreadableError

CHINESE = "水泵的保修期为五年。请保存购买凭证。本手册适用于所有型号的水泵，安装之前请仔细阅读安全说明。"
JAPANESE = "ポンプの保証期間は五年です。購入の証明を保管してください。取り付けの前に説明書をお読みください。"
GERMAN = "Die Gewährleistungsfrist für die Pumpe beträgt fünf Jahre. Bitte heben Sie den Beleg auf."
FRENCH = "Le café est ouvert dès huit heures à l'étage, sauf les jours fériés où il ferme à midi."
RUSSIAN = "Гарантия на насос составляет пять лет. Сохраните чек на весь этот срок."

POLISH = "Żółta łódka kosztuje sto złotych, a wiosła są gratis. Można ją kupić w środę."
TURKISH = "Garanti süresi iki yıldır. Şişe ağır, lütfen dikkatli taşıyın ve bir yere koyun."
GREEK = "Η εγγύηση διαρκεί τρία χρόνια. Το κατάστημα κλείνει στις έξι."
HEBREW = "האחריות היא לשנתיים. החנות נסגרת בשש."
TRADITIONAL = "水泵的保修期為兩年，請按時更換濾芯，本公司不收取費用。"
KOREAN = "보증 기간은 2년입니다. 가게는 여섯 시에 닫습니다."
LEGAL = "§ 4: Die Müller GmbH und die KfW zahlen für das iPhone. Größe: 12 m², jährlich 3.210 € — „sofort“."
QUOTED = "The door is closed at night — “always”. Don’t open it…"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (CHINESE, "gb18030"), (CHINESE, "utf-16-le"), (JAPANESE, "cp932"), (GERMAN, "cp1252"),
        (FRENCH, "latin-1"), (RUSSIAN, "cp1251"), ("The lift carries six.\n", "utf-16-le"),
        ("The lift carries six.\n", "utf-16-be"), ("ascii", "ascii"), ("", "ascii"),
        (POLISH, "cp1250"), (POLISH, "iso8859_2"), (TURKISH, "cp1254"), (GREEK, "cp1253"), (HEBREW, "cp1255"),
        (TRADITIONAL, "big5"), (JAPANESE, "euc_jp"), (JAPANESE, "iso2022_jp"), (KOREAN, "cp949"),
        (GERMAN, "cp850"), (GERMAN, "mac_roman"), (RUSSIAN, "cp866"), (QUOTED, "cp1252"),
        (LEGAL, "cp1252"),
    ],
)  # fmt: skip
def test_characters_are_right_or_the_file_is_refused(text: str, encoding: str) -> None:
    raw = text.encode(encoding)
    if encoding == "utf-16-le" and text == CHINESE:
        with pytest.raises(UnreadableError, match="iconv"):
            decoded(raw)
    else:
        assert decoded(raw) == text


@pytest.mark.parametrize(
    "mark", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE]
)
def test_a_byte_order_mark_decides(mark: bytes) -> None:
    encoding = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
    assert decoded(mark + CHINESE.encode(encoding.get(mark, "utf-32-le"))) == CHINESE


@pytest.mark.parametrize(
    "raw",
    [
        "café".encode("latin-1"),
        "水泵".encode("gbk"),
        bytes(range(256)),
        b"a\0b\0\0\0c",
        b"PK\x03\x04\0\0",
        b"\x80" * 40,
        "Ísskápurinn er grænn. Það kostar þúsund krónur.".encode("cp1252"),
        "Garantija galioja dvejus metus. Šaldytuvas yra žalias.".encode("cp1257"),
    ],
)
def test_what_is_uncertain_is_refused_with_advice(raw: bytes) -> None:
    with pytest.raises(UnreadableError, match="iconv"):
        decoded(raw)


def test_a_page_declares_its_encoding() -> None:
    page = '<meta http-equiv=x content="text/html; charset=gb2312"><p>绿茶镕</p>'
    assert decoded(page.encode("gb18030"), page=True) == page
    with pytest.raises(UnreadableError, match="unknown encoding 'klingon'"):
        decoded('<meta charset="klingon">ä'.encode("latin-1"), page=True)
    with pytest.raises(UnreadableError, match="says that it is"):
        decoded(b'<meta charset="euc-jp">\xff\xff', page=True)
