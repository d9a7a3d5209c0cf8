"""The demo's questions, each with the marks of a right answer."""

from dataclasses import dataclass

from schemas.answer import Answer, AnswerStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoQuestion:
    """A question with its expected outcome.

    Attributes:
        note: the point of the question, in a few words for the user.
        expected: texts that must all be in the answer.
        expected_document: the id of the document that must be cited; None: no citation is needed.
        expected_tools: the names of the tools that must be called, and no others.
        expected_degraded: the answer's degrade reasons.
    """

    text: str
    note: str
    expected: tuple[str, ...]
    tenant: str = "default"
    expected_document: str | None = None
    expected_tools: tuple[str, ...] = ()
    expected_status: AnswerStatus = "answered"
    expected_degraded: tuple[str, ...] = ()


DEMO_QUESTIONS = (
    DemoQuestion(
        text="How long does the battery of the Heron Air 3 last with the display switched off?",
        note="answered from a manual",
        expected=("14 months",),
        expected_document="heron-air-3",
    ),
    DemoQuestion(
        text="晨雾加湿器 M2 的水箱容量是多少升？",
        note="in Chinese",
        expected=("4.2 升",),
        expected_document="zh-humidifier-m2",
    ),
    DemoQuestion(
        text="What is 17.5% of 2,480, and what time is it in Tokyo?",
        note="two tools at once",
        expected=("434", "Asia/Tokyo"),
        expected_tools=("calculator", "clock"),
    ),
    DemoQuestion(
        text="Is the Heron Flow leak sensor in stock at the Rotterdam warehouse right now?",
        note="the tool hangs, so the answer comes from the documents",
        expected=("restocked from Hangzhou every Tuesday",),
        expected_document="shipping-rotterdam",
        expected_tools=("stock_level",),
        expected_status="degraded",
        expected_degraded=("tools_timeout",),
    ),
    DemoQuestion(
        text="Who painted the ceiling of the Sistine Chapel?",
        note="no document answers it",
        expected=("I do not know",),
    ),
)


def problems(question: DemoQuestion, answer: Answer) -> list[str]:
    """Return the problems of an answer to the question, a line each; empty: it is right."""
    found = [f"its text lacks {text!r}" for text in question.expected if text not in answer.text]
    if answer.status != question.expected_status:
        found.append(f"its status is {answer.status}, not {question.expected_status}")
    cited = {citation.document_id for citation in answer.citations}
    if question.expected_document is not None and question.expected_document not in cited:
        found.append(f"it cites {', '.join(sorted(cited)) or 'nothing'}, not {question.expected_document}")
    called = sorted(call.name for call in answer.tool_calls)
    if called != sorted(question.expected_tools):
        found.append(f"the tools called are {called}, not {sorted(question.expected_tools)}")
    if set(answer.degraded) != set(question.expected_degraded):
        found.append(f"it is degraded by {list(answer.degraded)}, not {list(question.expected_degraded)}")
    return found
