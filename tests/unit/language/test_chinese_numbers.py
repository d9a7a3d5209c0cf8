"""Numbers in Chinese characters are the digits that they stand for, and words with such characters stay."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.language.chinese_numbers import with_digits

CHARACTERS = "〇零一二三四五六七八九"


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("保修期为十二个月", "保修期为12个月"),
        ("二〇二四年成立", "2024年成立"),
        ("二零二四年", "2024年"),
        ("第三章", "第3章"),
        ("第十二条", "第12条"),
        ("三百元", "300元"),
        ("一千零五十", "1050"),
        ("一千五百", "1500"),
        ("一亿两千万", "120000000"),
        ("三万五千", "35000"),
        ("十二万三千四百五十六", "123456"),
        ("3.5万元", "35000元"),
        ("两年", "2年"),
        ("三十日以内", "30日以内"),
        ("三点五", "3.5"),
        ("百分之五", "5%"),
        ("百分之12", "12%"),
        ("贰佰元", "200元"),
    ],
)
def test_a_number_is_its_digits(written: str, digits: str) -> None:
    assert with_digits(written) == digits


@pytest.mark.parametrize(
    "text",
    [
        "万一",
        "千万不要",
        "十分重要",
        "三星",
        "一般",
        "四川",
        "三三两两",
        "一起",
        "星期三",
        "陆地",
        "四五百",
        "一百五",
    ],
)
def test_a_word_is_no_number(text: str) -> None:
    assert with_digits(text) == text


@given(st.integers(min_value=10, max_value=9_999))
def test_every_number_is_read(number: int) -> None:
    written, zero = "", False
    for unit, mark in ((1_000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = number // unit % 10
        if digit:
            written += ("零" if zero and written else "") + CHARACTERS[digit + 1] + mark
            zero = False
        else:
            zero = True
    assert with_digits(written) == str(number)


@given(st.text(alphabet=CHARACTERS + "两十百千万亿点分之第年a9.,", max_size=40))
def test_no_text_raises(text: str) -> None:
    read = with_digits(text)
    assert not text or read


@pytest.mark.parametrize("piece", ["百", "零一", "9", "九点", "百分之九", "一万"])
def test_time_grows_with_the_length(piece: str) -> None:
    def seconds(times: int) -> float:
        started = process_time()
        with_digits(piece * times + "万")
        return process_time() - started

    seconds(100)
    assert min(seconds(64_000) for _ in range(3)) < 40 * max(min(seconds(4_000) for _ in range(3)), 1e-4)
