"""One full example of every message, and the exact bytes that it is on the wire."""

from datetime import UTC, datetime

from msgspec import Struct

from schemas.answer import (
    Answer,
    AnswerError,
    AnswerGrounding,
    AnswerKnowledge,
    Citation,
    Source,
    Timings,
    ToolCall,
    Usage,
)
from schemas.control import Cancel
from schemas.document import Document
from schemas.errors import ErrorCode
from schemas.event import AnswerDelta, QuestionTrace, StageTrace
from schemas.feedback import Feedback
from schemas.journal import JournaledCall, JournalEntry
from schemas.question import Question, Turn

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
SOURCE = Source("questions", 3, 42)

QUESTION = Question(
    id="q-1",
    text="押金是多少?",
    conversation_id="c-1",
    tenant="acme",
    history=(Turn("user", "hi"), Turn("assistant", "hello")),
    tools=("clock",),
    stream=True,
    metadata={"channel": "web", "n": 1},
    instructions="Be formal.",
)
ANSWER = Answer(
    id="q-1",
    question_id="q-1",
    conversation_id="c-1",
    tenant="acme",
    status="degraded",
    source=SOURCE,
    created_at=NOW,
    text="It is 200 yuan [1].",
    citations=(
        Citation(
            index=1,
            document_id="d",
            chunk_id="d#0",
            title="Hire",
            source="hire.md",
            quote="200 yuan",
            score=0.5,
            support=0.75,
        ),
    ),
    tool_calls=(ToolCall(id="t1", name="clock", arguments={"tz": "UTC"}, status="timeout"),),
    degraded=("tools_timeout",),
    usage=Usage(10, 5),
    model="offline",
    timings_ms=Timings(queue=1.5, total=20.0),
    metadata={"channel": "web"},
    warnings=("unusable_role: 1 of 3 turns of the history were left out for their roles (tool)",),
    duplicate_of=Source("questions", 3, 41),
    grounding=AnswerGrounding("partly", 0.8),
    knowledge=AnswerKnowledge(1234, NOW, exact=True),
)
FAILED = Answer(
    id="questions/3/42",
    question_id="questions/3/42",
    conversation_id="questions/3/42",
    tenant="default",
    status="failed",
    source=SOURCE,
    created_at=NOW,
    error=AnswerError(ErrorCode.UNDECODABLE, "decode", "the value is null"),
)
DELTA = AnswerDelta(question_id="q-1", conversation_id="c-1", epoch=1, sequence=0, text="It ")
TRACE = QuestionTrace(
    question_id="q-1",
    conversation_id="c-1",
    tenant="acme",
    status="answered",
    stages=(StageTrace(stage="retrieve", status="ok", started_at=NOW, duration_ms=1.25),),
)
DOCUMENT = Document(
    id="d", tenant="acme", title="Hire", source="hire.md", text="The deposit is 200 yuan.", format="markdown"
)
FEEDBACK = Feedback(
    question_id="q-1",
    conversation_id="c-1",
    source=SOURCE,
    rating=-1,
    at=NOW,
    tenant="acme",
    response_id="resp_1",
    comment="押金 is wrong",
    tags=("wrong", "deposit"),
)
CANCEL = Cancel(type="cancel", source=SOURCE, tenant="acme", reason="disconnect", at=NOW)
PLANNED = JournalEntry(
    question_id="q/1",
    conversation_id="c-1",
    source=SOURCE,
    kind="plan",
    created_at=NOW,
    calls=(
        JournaledCall(id="call/1", name="book", arguments={"seats": 2}),
        JournaledCall(id="call/2", name="book", problem="the arguments are not a JSON object"),
    ),
    usage=Usage(10, 5),
)
INTENDED = JournalEntry(
    question_id="q/1",
    conversation_id="c-1",
    source=SOURCE,
    kind="intent",
    created_at=NOW,
    call_id="call/1",
    name="book",
    arguments={"seats": 2},
    tenant="acme",
    digest="2a" * 32,
    idempotency_key="acme/c-1/q%2F1/call%2F1",
)
FINISHED = JournalEntry(
    question_id="q/1",
    conversation_id="c-1",
    source=SOURCE,
    kind="result",
    created_at=NOW,
    call_id="call/1",
    name="book",
    arguments={"seats": 2},
    status="ok",
    result={"booking": "B-7"},
    duration_ms=12.5,
)

GOLDEN: dict[str, tuple[Struct, bytes]] = {
    "question": (
        QUESTION,
        '{"id":"q-1","text":"押金是多少?","conversation_id":"c-1","tenant":"acme",'
        '"history":[{"role":"user","content":"hi"},{"role":"assistant","content":"hello"}],'
        '"tools":["clock"],"stream":true,"metadata":{"channel":"web","n":1},'
        '"instructions":"Be formal."}'.encode(),
    ),
    "answer": (
        ANSWER,
        b'{"id":"q-1","question_id":"q-1","conversation_id":"c-1","tenant":"acme","status":"degraded",'
        b'"source":{"topic":"questions","partition":3,"offset":42},"created_at":"2026-01-02T03:04:05.678000Z",'
        b'"text":"It is 200 yuan [1].","citations":[{"index":1,"document_id":"d","chunk_id":"d#0",'
        b'"title":"Hire","source":"hire.md","quote":"200 yuan","score":0.5,"support":0.75}],'
        b'"tool_calls":[{"id":"t1","name":"clock","arguments":{"tz":"UTC"},"status":"timeout",'
        b'"result":null,"reused":false,"duration_ms":0.0}],"degraded":["tools_timeout"],"error":null,'
        b'"usage":{"prompt_tokens":10,"completion_tokens":5},"model":"offline",'
        b'"timings_ms":{"queue":1.5,"retrieve":null,"plan":null,"tools":null,"generate":null,"total":20.0},'
        b'"metadata":{"channel":"web"},'
        b'"warnings":["unusable_role: 1 of 3 turns of the history were left out for their roles (tool)"],'
        b'"duplicate_of":{"topic":"questions","partition":3,"offset":41},'
        b'"grounding":{"verdict":"partly","score":0.8},'
        b'"knowledge":{"offset":1234,"at":"2026-01-02T03:04:05.678000Z","exact":true}}',
    ),
    "failed answer": (
        FAILED,
        b'{"id":"questions/3/42","question_id":"questions/3/42","conversation_id":"questions/3/42",'
        b'"tenant":"default","status":"failed","source":{"topic":"questions","partition":3,"offset":42},'
        b'"created_at":"2026-01-02T03:04:05.678000Z","text":"","citations":[],"tool_calls":[],"degraded":[],'
        b'"error":{"code":"undecodable","stage":"decode","message":"the value is null"},'
        b'"usage":{"prompt_tokens":0,"completion_tokens":0},"model":"",'
        b'"timings_ms":{"queue":null,"retrieve":null,"plan":null,"tools":null,"generate":null,"total":null},'
        b'"metadata":{},"warnings":[],"duplicate_of":null,"grounding":null,"knowledge":null}',
    ),
    "answer-delta": (
        DELTA,
        b'{"question_id":"q-1","conversation_id":"c-1","epoch":1,"sequence":0,"text":"It ","done":false,'
        b'"replaced":false}',
    ),
    "last answer-delta": (
        AnswerDelta(
            question_id="q-1", conversation_id="c-1", epoch=1, sequence=1, text="", done=True, replaced=True
        ),
        b'{"question_id":"q-1","conversation_id":"c-1","epoch":1,"sequence":1,"text":"","done":true,'
        b'"replaced":true}',
    ),
    "question-trace": (
        TRACE,
        b'{"question_id":"q-1","conversation_id":"c-1","tenant":"acme","status":"answered",'
        b'"stages":[{"stage":"retrieve","status":"ok","attempt":1,"started_at":"2026-01-02T03:04:05.678000Z",'
        b'"duration_ms":1.25,"detail":""}]}',
    ),
    "cancel": (
        CANCEL,
        b'{"type":"cancel","source":{"topic":"questions","partition":3,"offset":42},"tenant":"acme",'
        b'"reason":"disconnect","at":"2026-01-02T03:04:05.678000Z"}',
    ),
    "document": (
        DOCUMENT,
        b'{"id":"d","tenant":"acme","title":"Hire","source":"hire.md","text":"The deposit is 200 yuan.",'
        b'"format":"markdown","metadata":{}}',
    ),
    "feedback": (
        FEEDBACK,
        '{"question_id":"q-1","conversation_id":"c-1","source":{"topic":"questions","partition":3,"offset":42},'
        '"rating":-1,"at":"2026-01-02T03:04:05.678000Z","tenant":"acme","response_id":"resp_1",'
        '"comment":"押金 is wrong","tags":["wrong","deposit"]}'.encode(),
    ),
    "journal-entry": (
        PLANNED,
        b'{"question_id":"q/1","conversation_id":"c-1","source":{"topic":"questions","partition":3,"offset":42},'
        b'"kind":"plan","created_at":"2026-01-02T03:04:05.678000Z",'
        b'"calls":[{"id":"call/1","name":"book","arguments":{"seats":2}},'
        b'{"id":"call/2","name":"book","problem":"the arguments are not a JSON object"}],'
        b'"usage":{"prompt_tokens":10,"completion_tokens":5}}',
    ),
    "intent journal-entry": (
        INTENDED,
        b'{"question_id":"q/1","conversation_id":"c-1","source":{"topic":"questions","partition":3,"offset":42},'
        b'"kind":"intent","created_at":"2026-01-02T03:04:05.678000Z",'
        b'"call_id":"call/1","name":"book","arguments":{"seats":2},"tenant":"acme","digest":"'
        + b"2a"
        * 32
        + b'",'
        b'"idempotency_key":"acme/c-1/q%2F1/call%2F1"}',
    ),
    "result journal-entry": (
        FINISHED,
        b'{"question_id":"q/1","conversation_id":"c-1","source":{"topic":"questions","partition":3,"offset":42},'
        b'"kind":"result","created_at":"2026-01-02T03:04:05.678000Z",'
        b'"call_id":"call/1","name":"book","arguments":{"seats":2},"status":"ok","result":{"booking":"B-7"},'
        b'"duration_ms":12.5}',
    ),
}
