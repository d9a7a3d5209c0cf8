"""The engine on a real broker: what an outside client sees of its answers."""

from schemas.codec import decode_answer, decode_trace
from schemas.topics import Topics
from streams.settings import Kafka
from tests.support.engine import (
    ScriptedPipeline,
    headers_of,
    producing,
    question,
    read_topic,
    running_engine,
    settings_for,
)


async def test_a_question_is_answered_on_its_own_partition(kafka_settings: Kafka, topics: Topics) -> None:
    async with running_engine(settings_for(kafka_settings), ScriptedPipeline()):
        async with producing(kafka_settings) as producer:
            for number in range(6):
                await producer.send_and_wait(
                    topics.questions,
                    question(f"q{number}", conversation_id="c"),
                    key=b"c",
                    partition=number % 3,
                    headers=[("correlation_id", b"\x00\xff-%d" % number)],
                )
        answers = await read_topic(kafka_settings, topics.answers, 6)
        traces = await read_topic(kafka_settings, topics.events, 6)
    for record in answers:
        answer = decode_answer(record.value)
        number = int(answer.id[1:])
        assert answer.status == "answered"
        assert record.key == b"c"
        assert record.partition == number % 3 == answer.source.partition
        assert headers_of(record)["correlation_id"] == b"\x00\xff-%d" % number
    assert {decode_trace(record.value).question_id for record in traces} == {f"q{n}" for n in range(6)}
