"""Sentences, in scripts with and without spaces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.language.sentences import sentence_spans

TEXTS = [
    ("Dr. Smith paid $3.50. Was it good? Yes!", ["Dr. Smith paid $3.50.", "Was it good?", "Yes!"]),
    ("公司成立于2010年。总部在杭州！员工多少？", ["公司成立于2010年。", "总部在杭州！", "员工多少？"]),
    ("他说：“你好。我叫王。”然后走了。", ["他说：“你好。我叫王。”", "然后走了。"]),
    ("この製品は防水です。電池は10時間持ちます。", ["この製品は防水です。", "電池は10時間持ちます。"]),
    ("我用iPhone。It works. 很好。", ["我用iPhone。", "It works.", "很好。"]),
    ("It is blue. [1] It is wet. [2]", ["It is blue. [1]", "It is wet. [2]"]),
    ("हिन्दी भाषा। दूसरा वाक्य।", ["हिन्दी भाषा।", "दूसरा वाक्य।"]),
    ("สวัสดีครับ ขอบคุณ", ["สวัสดีครับ ขอบคุณ"]),
    ("  \n\n ", []),
    ("", []),
]


@pytest.mark.parametrize(("text", "sentences"), TEXTS)
def test_sentences_of_many_scripts(text: str, sentences: list[str]) -> None:
    assert [text[start:end] for start, end in sentence_spans(text)] == sentences


@pytest.mark.parametrize(
    "sentences",
    [
        ["Am 24.12. ist geschlossen.", "Die Tür ist zu."],
        ["Es kostet 30 Euro inkl. MwSt. pro Jahr.", "Vom 1.5. bis 30.9. ist geöffnet.", "Am 3.10. Feiertag."],
        ["La cuota es de aprox. 30 euros al mes.", "Es todo."],
        ["Open Mon.-Fri. from nine.", "Closed on Sat. and Sun. in winter."],
        ["It was repaired in 2011.⁸", "It is 41 metres high.[citation needed]", "The keeper left.[12][13]"],
        ["it works.", "we like it.", "iPhones too."],
    ],
)
def test_what_reads_on_is_one_sentence(sentences: list[str]) -> None:
    text = " ".join(sentences)
    assert [text[start:end] for start, end in sentence_spans(text)] == sentences


AWKWARD = st.text(
    st.sampled_from("ab .。!?\n\r\t “”()的中A1Mr\u3000\xa0\x85\u2028\u2009\u200b\ufeff\x00\x1e𝔸é😀\ud800")
    | st.characters(),
    max_size=60,
)


@given(AWKWARD)
def test_spans_are_in_order_and_lose_nothing_but_white_space(text: str) -> None:
    end = 0
    for start, stop in sentence_spans(text):
        assert not text[end:start].strip()
        assert start < stop
        assert text[start:stop] == text[start:stop].strip()
        end = stop
    assert not text[end:].strip()


def test_an_ideographic_space_before_an_abbreviation_does_not_bring_the_process_down() -> None:
    # sentencex panics on this: its exception is no Exception, so that a worker would die of a document.
    assert sentence_spans("a.\u3000Mr. B.\x85A. x")
