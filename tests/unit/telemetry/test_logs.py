"""Log lines: complete, without secrets, and never in the way."""

import io
import logging
import threading
import time
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from schemas.answer import Answer, AnswerError, Source
from schemas.errors import ErrorCode
from streams.settings.model import Embeddings, Kafka, Knowledge, Model, Settings
from streams.settings.secrets import masker, secrets_of
from streams.telemetry.logs import Logging, LogSink

log = logging.getLogger("kotae.test")


class Blocked(io.StringIO):
    """An output that takes nothing until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.release = threading.Event()

    def write(self, text: str) -> int:
        self.release.wait(10)
        return super().write(text)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_a_json_object_with_message_level_and_extra_fields() -> None:
    stream = io.StringIO()
    with Logging(stream=stream):
        log.warning("question %s failed", "q-1", extra={"partition": 3, "path": io.StringIO})
        try:
            raise ValueError("broken")
        except ValueError:
            log.exception("with its stack")
        log.debug("below the level")
    first, second = lines(stream)
    assert (first["level"], first["logger"], first["message"]) == (
        "WARNING",
        "kotae.test",
        "question q-1 failed",
    )
    assert first["partition"] == 3
    assert "StringIO" in first["path"]
    assert first["time"].endswith("+00:00")
    assert second["stack"].endswith("ValueError: broken")


def test_a_line_with_characters_outside_utf_8_is_written_escaped() -> None:
    stream = io.StringIO()
    with Logging(stream=stream):
        log.warning("cannot read %s", "caf\udce9.txt", extra={"path": "\udce9"})
    (line,) = lines(stream)
    assert (line["message"], line["path"]) == ("cannot read caf\\udce9.txt", "\\udce9")


def test_a_terminal_gets_plain_text() -> None:
    stream = io.StringIO()
    stream.isatty = lambda: True  # type: ignore[method-assign] - a terminal cannot be had in a test
    with Logging(stream=stream):
        log.info("question %s is ready", "q\x1b[31m", extra={"partitions": 3})
    assert stream.getvalue().endswith("INFO    kotae.test: question q\\x1b[31m is ready partitions=3\n")


def test_a_line_shows_its_arguments_as_they_were_when_it_was_logged() -> None:
    stream, values = Blocked(), [1]
    with Logging(stream=stream):
        log.info("first")
        log.info("values %s", values)
        values.append(2)
        stream.release.set()
    assert lines(stream)[1]["message"] == "values [1]"


def test_a_blocked_output_delays_nobody_and_dropped_lines_are_counted() -> None:
    stream = Blocked()
    with Logging(stream=stream, lines_max=10) as logging_:
        started = time.monotonic()
        for number in range(1000):
            log.info("line %d", number)
        assert time.monotonic() - started < 5
        dropped = logging_.dropped
        assert dropped >= 1000 - 10 - 1
        stream.release.set()
    written = lines(stream)
    assert any(f"{dropped} log records were dropped" in line["message"] for line in written)
    assert len(written) == 1000 - dropped + 1


def test_the_end_does_not_wait_for_a_blocked_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.telemetry.logs.FLUSH_S", 0.05)
    stream = Blocked()
    started = time.monotonic()
    with Logging(stream=stream, lines_max=2):
        for _ in range(5):
            log.info("stuck")
    assert time.monotonic() - started < 5
    stream.release.set()


def test_the_earlier_logging_is_restored_at_the_end() -> None:
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    with Logging(stream=io.StringIO()):
        assert root.handlers != before[1]
    assert (root.level, list(root.handlers)) == before


def test_kafka_connections_never_log_the_bytes_they_send() -> None:
    logging.getLogger("aiokafka.conn").setLevel(logging.DEBUG)
    stream = io.StringIO()
    with Logging(stream=stream, level=logging.DEBUG):
        logging.getLogger("aiokafka.conn").debug("SASL bytes")
    assert stream.getvalue() == ""


def test_the_addresses_that_tools_call_are_not_in_the_log() -> None:
    stream = io.StringIO()
    with Logging(stream=stream):
        logging.getLogger("httpx").info("HTTP Request: GET https://erp.example/?key=hunter2")
        logging.getLogger("httpx").warning("told")
    assert [line["message"] for line in lines(stream)] == ["told"]


SETTINGS = Settings(
    kafka=Kafka(sasl_password="kafka-word"),
    model=Model(base_url="http://user:url-word@host/v1", api_key='model"key\n'),
    embeddings=Embeddings(api_key="abc"),
    knowledge=Knowledge(qdrant_api_key="kafka-word-longer"),
    tools={
        "weather": {
            "url": "http://w/",
            "headers": {"X-Auth": "literal-header", "Authorization": {"env": "WEATHER"}},
            "description": "no secret here",
        }
    },
)


def test_secrets_are_found_in_settings_and_in_variables_that_they_name() -> None:
    assert secrets_of(SETTINGS, {"WEATHER": "from-environment", "OTHER": "unrelated"}) == {
        "kafka-word",
        'model"key',
        "kafka-word-longer",
        "url-word",
        "dXNlcjp1cmwtd29yZA==",  # user:url-word, as it is sent
        "literal-header",
        "from-environment",
    }


@pytest.mark.parametrize("as_json", [True, False])
def test_no_secret_is_written(as_json: bool) -> None:
    stream = io.StringIO()
    secrets = secrets_of(SETTINGS, {"WEATHER": "from-environment"})
    with Logging(stream=stream, secrets=secrets, as_json=as_json):
        log.info("password %s and %r", "kafka-word-longer", {"Authorization": "from-environment"})
        log.info("fields", extra={"url": SETTINGS.model.base_url, "deep": {"key": ["literal-header"]}})
        try:
            raise RuntimeError(f"denied for {SETTINGS.model.api_key}")
        except RuntimeError:
            log.exception("call failed")
    written = stream.getvalue()
    assert written.count("***") == 5
    for secret in (
        "kafka-word",
        "longer",
        "url-word",
        "dXNlcjp1cmwtd29yZA==",  # user:url-word, as it is sent
        "literal-header",
        "from-environment",
        'model"key',
        "model\\",
    ):
        assert secret not in written


def test_without_secrets_text_stays_as_it_is() -> None:
    assert masker([])("text") == "text"
    assert masker(["a.c"])("abc a.c") == "abc ***"


async def test_failures_and_assignments_are_logged() -> None:
    stream, sink = io.StringIO(), LogSink()
    failed = Answer(
        id="q",
        question_id="q-7",
        conversation_id="q",
        tenant="default",
        status="failed",
        source=Source("questions", 2, 9),
        created_at=datetime.now(UTC),
        error=AnswerError(ErrorCode.INTERNAL, "generate", "defect"),
    )
    with Logging(stream=stream):
        sink.question_finished(failed, 1.0)
        sink.partitions_assigned((0, 2))
        sink.partitions_revoked((0,))
        sink.send_failed("answers", OSError("gone"))
        sink.commit_failed(TimeoutError("late"))
        sink.document_skipped("offset 3: not JSON")
        sink.breaker_changed("model", "open", "connection refused")
        for _ in range(100):
            sink.reply_refused("elsewhere", "it is not allowed")
    written = lines(stream)
    assert written[0]["message"] == "question q-7 failed in stage generate: internal: defect"
    assert written[0]["source"] == "questions/2/9"
    assert [line["level"] for line in written] == ["WARNING", "INFO", "INFO", "ERROR", *["WARNING"] * 4]
    assert "connection refused" in written[-2]["message"]
    assert "elsewhere" in written[-1]["message"]


def test_fields_of_the_process_are_in_every_line() -> None:
    stream = io.StringIO()
    with Logging(stream=stream, fields={"worker": 2}):
        log.info("here")
    assert orjson.loads(stream.getvalue())["worker"] == 2
