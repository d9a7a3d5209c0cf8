"""An answer as a person sees it."""

from datetime import UTC, datetime

import msgspec
import pytest

from schemas.answer import Answer, Citation, Source, ToolCall
from schemas.event import AnswerDelta
from streams.cli.showing import StreamWriter, details
from streams.telemetry.terminal import harmless

ANSWER = Answer(
    id="q",
    question_id="q",
    conversation_id="q",
    tenant="default",
    status="answered",
    source=Source("questions", 0, 0),
    created_at=datetime.now(UTC),
)
OBEYED = "\x1b]0;mine\x07\x9b31m\rowl"
SPELT_OUT = r"\x1b]0;mine\x07\x9b31m\x0dowl"


def test_a_tools_json_result_is_shown_as_json() -> None:
    calls = (
        ToolCall(id="1", name="book", arguments={}, status="ok", result={"booked": True, "room": None}),
        ToolCall(id="2", name="clock", arguments={}, status="ok", result="noon"),
    )
    shown = details(msgspec.structs.replace(ANSWER, tool_calls=calls))
    assert [line.partition(" ms: ")[2] for line in shown] == ['{"booked":true,"room":null}', "noon"]


def test_control_characters_are_escaped_but_line_breaks_and_letters_are_not() -> None:
    assert harmless(OBEYED) == SPELT_OUT
    assert harmless("a\r\n\tb 答え é") == "a\n\tb 答え é"
    assert harmless("a\r\n\tb\n答え é", lines=False) == r"a\n" "\tb" r"\n答え é"


def delta(text: str, epoch: int = 1, *, replaced: bool = False) -> AnswerDelta:
    return AnswerDelta(
        question_id="q", conversation_id="q", epoch=epoch, sequence=0, text=text, replaced=replaced
    )


def test_a_text_that_begins_anew_is_told_and_printed_whole(capsys: pytest.CaptureFixture[str]) -> None:
    writer = StreamWriter(as_json=False)
    for each in (delta("one"), delta("two", 2), delta("three ", 2), delta("four", 2, replaced=True)):
        writer(each)
    writer.end(msgspec.structs.replace(ANSWER, text="four"))
    assert capsys.readouterr().out.splitlines() == [
        "one",
        "[the question runs again: it starts anew]",
        "twothree ",
        "[the answer became another one: it starts anew]",
        "four",
    ]


@pytest.mark.parametrize("streamed", ["", OBEYED[:9]])
def test_control_characters_in_an_answer_are_escaped(
    streamed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    quote = Citation(
        index=1, document_id="d", chunk_id="d#0", title=OBEYED, source="", quote=OBEYED, score=1.0
    )
    writer = StreamWriter(as_json=False)
    if streamed:
        writer(AnswerDelta(question_id="q", conversation_id="q", epoch=1, sequence=0, text=streamed))
    writer.end(msgspec.structs.replace(ANSWER, text=OBEYED))
    assert capsys.readouterr().out == f"{SPELT_OUT}\n"
    [line] = details(msgspec.structs.replace(ANSWER, citations=(quote,)))
    assert line == f"  [1] {SPELT_OUT}: “{SPELT_OUT}”"
