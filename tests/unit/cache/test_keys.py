"""Two questions have one key if they look the same and tenant, tools and knowledge are the same."""

import unicodedata
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from agents.cache.keys import KEY_BYTES, AnswerKeys, normalised
from agents.components import ToolSpec
from agents.knowledge.version import Version
from schemas.question import Question, Turn
from tests.support.components import tool_spec


@dataclass
class World:
    tools: list[ToolSpec] = field(default_factory=list)
    versions: dict[str, Version | None] = field(default_factory=dict)

    def offered(self, question: Question) -> list[ToolSpec]:
        return [spec for spec in self.tools if question.tools is None or spec.name in question.tools]

    def of(self, tenant: str) -> Version | None:
        return self.versions.get(tenant, ())


def digest(question: Question, world: World | None = None, made_by: object = "model") -> bytes:
    world = world or World()
    key = AnswerKeys(made_by, world, world).of(question)
    assert key is not None
    return key.digest


QUESTION = Question(id="q", text="How long is the warranty?", history=(Turn("user", "Hello."),))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Caf\u00e9?", "Cafe\u0301?"),
        ("How?", "  How?\n"),
        ("one\r\ntwo", "one\ntwo"),
        ("\u00c5", "\u212b"),  # the angstrom sign is canonically the letter
    ],
)
def test_invisible_differences_make_no_other_key(left: str, right: str) -> None:
    assert digest(Question(id="1", text=left)) == digest(Question(id="2", text=right))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Who are us?", "Who are US?"),
        ("x² = 4?", "x2 = 4?"),
        ("if a:\n  b\n c", "if a:\n  b\n  c"),
        ("１", "1"),
        ("How long?", "How  long?"),
        ("ﬁ", "fi"),
    ],
)
def test_differences_that_may_change_the_meaning_make_another_key(left: str, right: str) -> None:
    assert digest(Question(id="1", text=left)) != digest(Question(id="1", text=right))


@pytest.mark.parametrize("text", ["?", "long " * 1000])
def test_a_key_is_20_bytes_long(text: str) -> None:
    assert len(digest(Question(id="q", text=text))) == KEY_BYTES == 20


@given(st.text())
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalised(text)
    assert normalised(once) == once
    assert unicodedata.is_normalized("NFC", once)


def test_asker_and_delivery_are_not_in_the_key() -> None:
    other = Question(
        id="other",
        text=QUESTION.text,
        history=QUESTION.history,
        conversation_id="c",
        stream=True,
        metadata={"a": 1},
    )
    assert digest(other) == digest(QUESTION)


@given(
    st.tuples(st.text(min_size=1), st.text(min_size=1)), st.tuples(st.text(min_size=1), st.text(min_size=1))
)
def test_no_two_tenants_share_a_key(left: tuple[str, str], right: tuple[str, str]) -> None:
    one, other = (Question(id="q", text=text, tenant=tenant) for tenant, text in (left, right))
    same = left[0] == right[0] and normalised(left[1]) == normalised(right[1])
    assert (digest(one) == digest(other)) == same


def test_everything_that_an_answer_depends_on_is_in_the_key() -> None:
    tool = tool_spec("weather")
    seen = {
        digest(QUESTION),
        digest(Question(id="q", text=QUESTION.text)),
        digest(Question(id="q", text=QUESTION.text, history=(Turn("assistant", "Hello."),))),
        digest(Question(id="q", text=QUESTION.text, history=(*QUESTION.history, *QUESTION.history))),
        digest(QUESTION, World(versions={"default": ((0, 1, 2),)})),
        digest(QUESTION, World(versions={"default": ((0, 1, 3),)})),
        digest(QUESTION, World([tool])),
        digest(QUESTION, World([replace(tool, description="Another.")])),
        digest(QUESTION, World([replace(tool, parameters={"type": "object", "required": ["city"]})])),
        digest(QUESTION, World([tool, tool_spec("sky")])),
        digest(QUESTION, made_by="another model"),
        digest(structs.replace(QUESTION, instructions="Be formal.")),
        digest(structs.replace(QUESTION, instructions="be formal.")),
    }
    assert len(seen) == 13


def test_tools_that_are_not_allowed_are_not_in_the_key() -> None:
    world = World([tool_spec("weather"), tool_spec("sky")])
    allowed = [
        Question(id="q", text="?", tools=tools) for tools in (("sky", "weather"), ("weather", "sky"), None)
    ]
    assert len({digest(question, world) for question in allowed}) == 1
    assert digest(Question(id="q", text="?", tools=("sky",)), world) == digest(
        Question(id="q", text="?"), World([tool_spec("sky")])
    )


def test_a_tenant_without_a_version_has_no_key() -> None:
    world = World(versions={"default": None})
    assert AnswerKeys("", world, world).of(QUESTION) is None
