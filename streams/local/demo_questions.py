"""The questions that the demo asks, and what makes an answer to each of them right."""

from dataclasses import dataclass

from schemas.answer import AnswerStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoQuestion:
    """A question with its expected outcome.

    Attributes:
        note: what it is asked for, in a few words for whoever watches.
        expected: every one of these must be in the answer's text.
        expected_document: id of the document that must be cited; None: none need be.
        expected_tools: names of exactly the tools that must be called.
        expected_degraded: reason codes of the answer.
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
        note="its tool hangs, so the documents must do",
        expected=("restocked from Hangzhou every Tuesday",),
        expected_document="shipping-rotterdam",
        expected_tools=("stock_level",),
        expected_status="degraded",
        expected_degraded=("tools_timeout",),
    ),
    DemoQuestion(
        text="Who painted the ceiling of the Sistine Chapel?",
        note="nothing here answers it",
        expected=("I do not know",),
    ),
)
