"""Asking over a real broker, by the client and by `kotae ask`."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from schemas.answer import AnswerError, Citation, Source, ToolCall
from schemas.errors import ErrorCode
from schemas.event import AnswerDelta
from schemas.question import Question
from schemas.topics import Topics
from streams.client.asking import AskClient
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka
from tests.support.answerer import Reply, answer_to, answering, delta_of
from tests.support.system import Program, environment, eventually


@pytest.fixture
async def client(kafka_settings: Kafka, topics: Topics) -> AsyncIterator[AskClient]:
    async with AskClient(kafka_settings) as connected:
        yield connected


def echo(question: Question, source: Source) -> Sequence[Reply]:
    other = Source(source.topic, source.partition, source.offset + 1000)
    return [
        answer_to(question, other, text="to another record with the same correlation"),
        answer_to(
            question, source, text=question.text.upper(), metadata={"conversation": question.conversation_id}
        ),
        answer_to(question, source, text="a second time"),
    ]


async def test_many_questions_at_once_each_get_their_own_answer(
    client: AskClient, kafka_settings: Kafka
) -> None:
    async with answering(kafka_settings, echo) as seen:
        answers = await asyncio.gather(*(client.aask(f"question {n}") for n in range(50)))
        again = await client.aask(Question(id="q", text="again", conversation_id="c"), timeout_s=7)
    assert [answer.text for answer in answers] == [f"QUESTION {n}" for n in range(50)]
    assert again.metadata == {"conversation": "c"}
    assert len({answer.source.partition for answer in answers}) == 3
    assert seen[-1].expiry_s == pytest.approx(time.time() + 7, abs=5)


async def test_pieces_come_in_order_before_the_answer(client: AskClient, kafka_settings: Kafka) -> None:
    def stream(question: Question, source: Source) -> Sequence[Reply]:
        assert question.stream
        return [
            delta_of(question, 2, 0, "wrong "),
            delta_of(question, 1, 0, "right "),
            delta_of(question, 2, 1, "late"),
            delta_of(question, 1, 1, "text"),
            delta_of(question, 1, 1, "text"),
            delta_of(question, 1, 3, "behind a gap"),
            delta_of(question, 1, 4),
            answer_to(question, source, text="right text, whole"),
        ]

    told: list[AnswerDelta] = []
    async with answering(kafka_settings, stream, lambda: len(told) == 3):
        await client.aask("stream it", on_delta=told.append)
    # The run counts that begins last in the partition, and the answer tells the rest.
    assert [(piece.epoch, piece.text, piece.done) for piece in told] == [
        (2, "wrong ", False),
        (1, "right ", False),
        (1, "text", False),
        (1, ", whole", True),
    ]


async def test_without_a_worker_the_timeout_says_where_to_look(
    client: AskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.client.asking.PATIENCE_S", 0.1)
    for timeout_s in (0.4, 4, 40):
        with pytest.raises(TimeoutError, match=r"no answer to question .*kotae worker") as told:
            await client.aask("anybody?", timeout_s=timeout_s)
        if re.search(r"questions/\d/\d", str(told.value)):  # on a busy machine it may not be written yet
            return
    pytest.fail(str(told.value))


async def test_a_question_too_large_for_the_topic_is_refused_before_it_is_sent(client: AskClient) -> None:
    with pytest.raises(OperatorError, match="larger than"):
        await client.aask(Question(id="q", text="x", metadata={"much": "x" * 1_100_000}))


async def test_stopping_the_client_fails_pending_questions(kafka_settings: Kafka, topics: Topics) -> None:
    client = AskClient(kafka_settings, streaming=False)
    await client.start()
    asking = asyncio.create_task(client.aask("never"))
    await asyncio.sleep(0)
    await client.stop()
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionError, match="stopped"):
            await asking
    await client.stop()
    with pytest.raises(RuntimeError, match="not started"):
        await client.aask("too late")


class TestCommand:
    """`kotae ask` as a program."""

    async def run(self, kafka: Kafka, folder: Path, *arguments: str) -> tuple[int, str]:
        settings = environment(
            KOTAE_KAFKA__BOOTSTRAP_SERVERS=kafka.bootstrap_servers,
            KOTAE_KAFKA__TOPIC_PREFIX=kafka.topic_prefix,
        )
        program = Program(["streams", "ask", *arguments], settings, folder / "ask.log")
        await eventually(lambda: program.exit_code is not None, 30, "the command has ended")
        return await program.stop(), program.output

    async def test_ask_prints_text_citations_tool_calls_and_degrade_reasons(
        self, kafka_settings: Kafka, topics: Topics, tmp_path: Path
    ) -> None:
        def full(question: Question, source: Source) -> Sequence[Reply]:
            assert (question.tenant, question.tools) == ("acme", ("clock", "weather"))
            quote = Citation(
                index=1,
                document_id="d",
                chunk_id="d#0",
                title="Manual",
                source="",
                quote="A quote.",
                score=1.0,
            )
            call = ToolCall(id="1", name="clock", arguments={"place": "Rome"}, status="ok", result="noon")
            return [
                answer_to(
                    question,
                    source,
                    status="degraded",
                    text="It is noon [1].",
                    citations=(quote,),
                    tool_calls=(call,),
                    degraded=("plan_timeout",),
                )
            ]

        async with answering(kafka_settings, full):
            code, output = await self.run(
                kafka_settings,
                tmp_path,
                "what time?",
                "--tenant",
                "acme",
                "--tool",
                "clock",
                "--tool",
                "weather",
            )
        assert code == 0, output
        assert output.splitlines() == [
            "It is noon [1].",
            "  [1] Manual: “A quote.”",
            "  clock(place='Rome') ok in 0 ms: noon",
            "  degraded: plan_timeout",
        ]

    async def test_streamed_text_is_printed_once_even_if_a_delta_was_lost_and_again_if_it_is_another(
        self, kafka_settings: Kafka, topics: Topics, tmp_path: Path
    ) -> None:
        def stream(question: Question, source: Source) -> Sequence[Reply]:
            pieces = ["It ", "was " if question.text == "other" else "is ", "noon."]
            deltas = [delta_of(question, 1, n, piece) for n, piece in enumerate(pieces)]
            if question.text == "lossy":
                del deltas[1]
            return [*deltas, delta_of(question, 1, 3), answer_to(question, source, text="It is noon.")]

        async with answering(kafka_settings, stream):
            whole = await self.run(kafka_settings, tmp_path, "whole", "--stream")
            lossy = await self.run(kafka_settings, tmp_path, "lossy", "--stream")
            other = await self.run(kafka_settings, tmp_path, "other", "--stream")
            code, output = await self.run(kafka_settings, tmp_path, "whole", "--stream", "--json")
        assert whole == lossy == (0, "It is noon.\n")
        again = "[the answer became another one: it starts anew]"
        assert other == (0, f"It was noon.\n{again}\nIt is noon.\n")
        lines = [orjson.loads(line) for line in output.splitlines()]
        assert code == 0
        assert [line["text"] for line in lines] == ["It ", "is ", "noon.", "", "It is noon."]

    async def test_a_failed_question_is_exit_code_1_in_json_too(
        self, kafka_settings: Kafka, topics: Topics, tmp_path: Path
    ) -> None:
        def fail(question: Question, source: Source) -> Sequence[Reply]:
            error = AnswerError(ErrorCode.MODEL_REJECTED, "generate", "no such model")
            return [answer_to(question, source, status="failed", text="", error=error)]

        async with answering(kafka_settings, fail):
            plain = await self.run(kafka_settings, tmp_path, "why?")
            code, output = await self.run(kafka_settings, tmp_path, "why?", "--json")
        assert plain == (1, "  failed: model_rejected in stage generate: no such model\n")
        assert code == 1
        assert orjson.loads(output)["error"]["code"] == "model_rejected"

    async def test_wrong_options_are_usage_errors_and_missing_topics_are_one_line(
        self, kafka_settings: Kafka, tmp_path: Path
    ) -> None:
        code, output = await self.run(kafka_settings, tmp_path, " ")
        assert code == 2
        assert "TEXT must have" in output
        code, output = await self.run(kafka_settings, tmp_path, "hello")
        assert code == 1
        assert output.count("\n") == 1
        assert "kotae topics create" in output


async def test_the_client_sees_partitions_that_are_added(
    client: AskClient, kafka_settings: Kafka, topics: Topics
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_settings.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_partitions(
            {name: NewPartitions(6) for name in (topics.answers, topics.deltas, topics.questions)}
        )
    finally:
        await admin.close()
    producer = client._producer
    assert producer is not None

    async def sees_all() -> bool:
        await producer.client.force_metadata_update()
        return len(await producer.partitions_for(topics.questions)) == 6

    while not await sees_all():
        pass
    async with answering(kafka_settings, echo):
        answers = await asyncio.gather(*(client.aask(f"question {n}", timeout_s=15) for n in range(40)))
        again = await asyncio.gather(*(client.aask(f"question {n}", timeout_s=15) for n in range(40)))
    assert [answer.text for answer in answers] == [f"QUESTION {n}" for n in range(40)]
    assert len({answer.source.partition for answer in [*answers, *again]}) == 6
