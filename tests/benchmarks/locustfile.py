"""Locust's users on a running service, over Kafka: `locust -f tests/benchmarks/locustfile.py --headless`.

The numbers of users are those of the article's load table, each for `KOTAE_BENCH_STEP_S` seconds (60).
The cluster is what `KOTAE_KAFKA__*` says. Locust runs on gevent, which asyncio does not go with; so the
Kafka client is librdkafka's (confluent-kafka), whose threads are its own, and which is polled by one
greenlet every 2 ms: latencies hold up to that much too much.

Each number of users is a line of its own in Locust's tables. Its rates are over the whole run, though, so
the table at the end is ours: what was answered in a step over the step's time.
"""

import os
import time
import uuid

import gevent
import msgspec
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from gevent.event import AsyncResult
from locust import LoadTestShape, User, constant, events, task
from locust.env import Environment

from schemas.answer import Answer
from schemas.codec import encode
from schemas.question import Question
from schemas.topics import Topics
from tests.benchmarks.article import PUBLISHED

USERS = tuple(PUBLISHED)
STEP_S = float(os.environ.get("KOTAE_BENCH_STEP_S", "60"))
ANSWER_S = 60.0
POLL_S = 0.002
SPAWNED_A_SECOND = 100


class Service:
    """Asks and awaits answers; one for all users of this process."""

    def __init__(self) -> None:
        servers = os.environ.get("KOTAE_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9092")
        self._topics = Topics(os.environ.get("KOTAE_KAFKA__TOPIC_PREFIX", ""))
        # Where no broker answers it says so twenty times a second; we say it once.
        common = {"bootstrap.servers": servers, "log_level": 2}
        self._producer = Producer({**common, "linger.ms": 1})
        self._consumer = Consumer(
            {
                **common,
                "group.id": f"locust-{uuid.uuid4().hex}",
                "enable.auto.commit": False,
            }
        )
        self._waiting: dict[str, AsyncResult] = {}
        topic = self._topics.answers
        try:
            known = self._consumer.list_topics(topic, timeout=10).topics[topic]
        except KafkaException as error:
            raise SystemExit(f"no Kafka broker answers at {servers}: {error}") from error
        if known.error or not known.partitions:
            raise SystemExit(f"there is no topic {topic} at {servers}: is the service running?")
        ends = [
            TopicPartition(topic, n, self._consumer.get_watermark_offsets(TopicPartition(topic, n), 10)[1])
            for n in known.partitions
        ]
        self._consumer.assign(ends)
        self._reading = gevent.spawn(self._read)

    def ask(self, question: Question) -> Answer:
        """The answer; gevent.Timeout where none comes within ANSWER_S."""
        answer = self._waiting[question.id] = AsyncResult()
        try:
            self._producer.produce(
                self._topics.questions, encode(question), key=question.conversation_id.encode()
            )
            return answer.get(timeout=ANSWER_S)
        finally:
            self._waiting.pop(question.id, None)

    def _read(self) -> None:
        decode = msgspec.json.Decoder(Answer).decode
        while True:
            self._producer.poll(0)
            records = self._consumer.consume(500, timeout=0)
            for record in records:
                if record.error() is None:
                    answer = decode(record.value())
                    if waiting := self._waiting.get(answer.question_id):
                        waiting.set(answer)
            gevent.sleep(0 if records else POLL_S)


services: list[Service] = []


@events.test_start.add_listener
def connect(environment: Environment, **_: object) -> None:
    if not services:
        services.append(Service())


class Asker(User):
    """Asks its next question when its last is answered, in a conversation of its own."""

    wait_time = constant(0)

    def on_start(self) -> None:
        self.conversation = f"locust-{uuid.uuid4().hex}"
        self.asked = 0

    @task
    def ask(self) -> None:
        self.asked += 1
        question = Question(
            id=f"{self.conversation}-{self.asked}",
            conversation_id=self.conversation,
            # Each is asked once, so that no cache answers it.
            text=f"How long is the warranty, and who is customer {uuid.uuid4().hex[:8]}?",
        )
        began, failure, length = time.perf_counter(), None, 0
        try:
            answer = services[0].ask(question)
            length = len(answer.text)
            if answer.status != "answered":
                failure = RuntimeError(
                    f"{answer.status}: {answer.error.code if answer.error else answer.degraded}"
                )
        except (gevent.Timeout, BufferError) as error:
            failure = RuntimeError(f"no answer: {error}")
        self.environment.events.request.fire(
            request_type="KAFKA",
            name=_line(self.environment.runner.target_user_count),
            response_time=(time.perf_counter() - began) * 1000,
            response_length=length,
            exception=failure,
            context={},
        )


class ArticleSteps(LoadTestShape):
    """The article's numbers of users, one after another."""

    def tick(self) -> tuple[int, float] | None:
        step = int(self.get_run_time() / STEP_S)
        return (USERS[step], SPAWNED_A_SECOND) if step < len(USERS) else None


@events.quitting.add_listener
def tell(environment: Environment, **_: object) -> None:
    """What was measured, beside the article's table."""
    print("\n users  mean ms   p95 ms  requests/s  success   the article, on 4 cores")
    for users, theirs in PUBLISHED.items():
        found = environment.stats.get(_line(users), "KAFKA")
        if found.num_requests:
            p95_ms, rate = found.get_response_time_percentile(0.95), found.num_requests / STEP_S
            print(
                f"{users:>6} {found.avg_response_time:>8.0f} {p95_ms:>8} {rate:>11.0f} "
                f"{1 - found.fail_ratio:>8.1%}   {theirs.mean_ms:.0f} ms, {theirs.p95_ms:.0f} ms, "
                f"{theirs.rate:.0f}/s, {theirs.success:.1%}"
            )


def _line(users: int) -> str:
    return f"{users:4} users"
