"""Faust (faust-streaming) with one agent of many concurrent actors, which acknowledge out of order."""

import tempfile

import faust

from tests.benchmarks.contenders.work import ANSWERS, BOOTSTRAP, CONCURRENCY, QUESTIONS, Work


class Question(faust.Record, serializer="json"):
    id: str
    conversation_id: str
    text: str


app = faust.App(
    "faust",
    broker=f"kafka://{BOOTSTRAP}",
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    producer_acks=-1,
    web_enabled=False,
    datadir=tempfile.mkdtemp(),
    store="memory://",
)
questions = app.topic(QUESTIONS, value_type=Question, key_serializer="raw")
answers = app.topic(ANSWERS, key_serializer="raw", value_serializer="raw")
opened: list[Work] = []


@app.agent(questions, concurrency=CONCURRENCY)
async def answer(stream: faust.StreamT[Question]) -> None:
    async for question in stream:
        outcome = await opened[0].aanswer(question.id, question.text)
        await answers.send(key=question.conversation_id.encode(), value=outcome)


@app.task
async def open_work() -> None:
    opened.append(await Work.aopen())
    print("ready", flush=True)


if __name__ == "__main__":
    faust.Worker(app, loglevel="ERROR", redirect_stdouts=False).execute_from_commandline()
