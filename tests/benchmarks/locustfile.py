"""Locust's users on a running service, over Kafka: `make bench-locust`, or `locust -f` with this file.

The numbers of users are the article's, one after another (`--steps`, `--step-s`), each a line of its own in
Locust's tables; answers that came while users were added are in another line. Locust's rates are over the
whole run, so a table of ours ends it, with rates over the time of each complete number of users, beside the
article's. A question that is not answered in full fails, by its status and reason; one that is on its way
when the run ends is in no line.

The time of a question depends on the service: compare its figures with the article's only if its model and
tools are as slow (`make bench-locust SIMULATED=1`).

`KOTAE_KAFKA__*` names the cluster. Locust runs on gevent, which does not work with asyncio; so the Kafka
client is librdkafka's (confluent-kafka), which has threads of its own, and one greenlet polls it every 2 ms:
latencies are at most that much too long.
"""

import asyncio
import logging
import os
import time
import uuid
from argparse import ArgumentTypeError

import gevent
import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from gevent.event import AsyncResult
from locust import LoadTestShape, User, constant, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import MasterRunner, Runner, WorkerRunner

from schemas.answer import Answer
from schemas.codec import encode
from schemas.question import Question
from schemas.topics import Topics
from streams.client.asking import PATIENCE_S
from streams.settings.errors import OperatorError
from streams.settings.model import Settings
from streams.settings.reader import load_settings
from tests.benchmarks import librdkafka, user_steps
from tests.benchmarks.article import PUBLISHED

POLL_S = 0.002
METADATA_S = 10
SPAWNED_A_SECOND = 100
ADDING = "adding users"
QUESTION = "How long is the warranty of order {}?"


class Service:
    """Asks and awaits answers; one for all users of this process."""

    def __init__(self, settings: Settings) -> None:
        self._topics = Topics(settings.kafka.topic_prefix)
        self._patience_s = settings.limits.deadline_s + PATIENCE_S
        # It logs an absent broker twenty times a second; the questions' failures show it.
        common = librdkafka.options(settings.kafka) | {"log_level": "2"}
        self._producer = Producer(common | {"linger.ms": "1"})
        group = f"locust-{uuid.uuid4().hex}"
        self._consumer = Consumer(common | {"group.id": group, "enable.auto.commit": "false"})
        self._waiting: dict[str, AsyncResult] = {}
        topic = self._topics.answers
        numbers = self._consumer.list_topics(topic, timeout=METADATA_S).topics[topic].partitions
        partitions = [TopicPartition(topic, number) for number in numbers]
        for partition in partitions:
            partition.offset = self._consumer.get_watermark_offsets(partition, METADATA_S)[1]
        self._consumer.assign(partitions)
        gevent.spawn(self._read)

    def ask(self, question: Question) -> Answer:
        """The answer.

        Raises:
            KafkaException: the question could not be written.
            BufferError: too many questions wait to be written.
            TimeoutError: no answer came.
        """
        answer = self._waiting[question.id] = AsyncResult()

        def written(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                answer.set_exception(KafkaException(error))

        try:
            self._producer.produce(
                self._topics.questions,
                encode(question),
                key=question.conversation_id.encode(),
                on_delivery=written,
            )
            found: Answer = answer.get(timeout=self._patience_s)
        except gevent.Timeout as error:
            raise TimeoutError(f"no answer within {self._patience_s:.0f} s") from error
        finally:
            del self._waiting[question.id]
        return found

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


class NotAnsweredError(Exception):
    """A question's failure as Locust's tables show it."""


class Lines:
    """The line of Locust's tables for answers that come now."""

    def __init__(self) -> None:
        self.begin(None)

    def begin(self, runner: Runner | None) -> None:
        """Note the start of a run."""
        self._runner, self._complete, self._target = runner, ADDING, -1

    def complete(self, users: int) -> None:
        """Note how many users ask, in all processes together."""
        self._complete, self._target = line(users), self._runner.target_user_count

    def now(self) -> str:
        """Note a change of the users wanted; one of several processes is told its own share."""
        return self._complete if self._runner.target_user_count == self._target else ADDING


def line(users: int) -> str:
    """The name of a number of users."""
    return f"{users:4} users"


connected = AsyncResult()
"""This process's `Service`. One of several processes may be asked for users before it has one."""

lines = Lines()
windows = user_steps.Windows()


@events.init_command_line_parser.add_listener
def add_arguments(parser: LocustArgumentParser) -> None:
    parser.add_argument(
        "--steps",
        type=_steps,
        default=",".join(map(str, PUBLISHED)),
        help="Numbers of users, one after another (default: the article's, %(default)s)",
    )
    parser.add_argument(
        "--step-s", type=float, default=60.0, help="Seconds that each takes (default: %(default)s)"
    )
    parser.add_argument(
        "--question",
        default=QUESTION,
        help="What is asked; {} becomes different each time, so that no cache answers (default: %(default)s)",
    )


def _steps(text: str) -> str:
    try:
        user_steps.parse(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
    return text  # a string, because the web page gives it back as one


@events.init.add_listener
def connect(environment: Environment, **_: object) -> None:
    """Exit at once, with the remedy, if no worker would answer."""
    try:
        settings = load_settings().settings
        asyncio.run(librdkafka.acheck_service(settings))
        if not isinstance(environment.runner, MasterRunner):  # the master asks nothing itself
            connected.set(Service(settings))
    except (OperatorError, KafkaException) as error:
        raise SystemExit(f"error: {error}") from error


@events.test_start.add_listener
def begin(environment: Environment, **_: object) -> None:
    windows.clear()
    lines.begin(environment.runner)


@events.spawning_complete.add_listener
def complete(user_count: int) -> None:
    windows.open(user_count, time.monotonic())
    lines.complete(user_count)


@events.test_stopping.add_listener
def end(**_: object) -> None:
    windows.close(time.monotonic())


class Asker(User):
    """Asks its next question when its last is answered, in a conversation of its own."""

    wait_time = constant(0)

    def on_start(self) -> None:
        self.service: Service = connected.get()
        self.conversation = f"locust-{uuid.uuid4().hex}"
        self.asked = 0

    @task
    def ask(self) -> None:
        self.asked += 1
        question = Question(
            id=f"{self.conversation}-{self.asked}",
            conversation_id=self.conversation,
            text=self.environment.parsed_options.question.replace("{}", uuid.uuid4().hex[:8]),
        )
        began, reason, length = time.perf_counter(), "", 0
        try:
            answer = self.service.ask(question)
            reason, length = librdkafka.failure(answer), len(answer.text)
        except (TimeoutError, KafkaException, BufferError) as error:
            reason = str(error)
        self.environment.events.request.fire(
            request_type="KAFKA",
            name=lines.now(),
            response_time=(time.perf_counter() - began) * 1000,
            response_length=length,
            exception=NotAnsweredError(reason) if reason else None,
            context={},
        )


class Steps(LoadTestShape):
    """The load: the numbers of users of `--steps`, each for `--step-s`."""

    _users = 0

    def tick(self) -> tuple[int, float] | None:
        options = self.runner.environment.parsed_options
        try:
            users = user_steps.due(user_steps.parse(options.steps), options.step_s, self.get_run_time())
        except ValueError as error:  # the web page checks nothing
            logging.getLogger(__name__).critical("%s", error)
            return None
        if users != self._users:
            windows.close(time.monotonic())
            self._users = users
        return (users, SPAWNED_A_SECOND) if users else None


@events.quitting.add_listener
def tell(environment: Environment, **_: object) -> None:
    """The measurements, beside the article's table."""
    if isinstance(environment.runner, WorkerRunner):
        return
    measured = {}
    for users in windows.seconds:
        found = environment.stats.get(line(users), "KAFKA")
        if found.num_requests:
            measured[users] = user_steps.Step(
                found.num_requests,
                found.num_failures,
                found.avg_response_time,
                found.get_response_time_percentile(0.95),
            )
    if measured:
        print(
            "\n" + user_steps.table(measured, windows.seconds, os.environ.get("BENCH_SERVICES_MS", "")) + "\n"
        )
    elif windows.seconds:
        environment.process_exit_code = 1
        print("\nNothing was answered: the worker's log and /state say why.\n")
