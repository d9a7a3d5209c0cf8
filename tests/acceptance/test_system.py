"""The whole system as a user sees it, from outside."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import Topics
from streams.kafka.reading import open_reader
from streams.kafka.topics import acreate_topics, admin_client
from streams.settings.model import Kafka
from tests.acceptance.conftest import CANARY, System, kotae
from tests.support.system import ROOT, environment


def test_a_question_is_answered_with_a_citation(system: System) -> None:
    asked = system.kotae("ask", "How long does the battery of the Heron Air 3 last?", "--json")
    answer = json.loads(asked.stdout)
    assert (asked.returncode, answer["status"]) == (0, "answered")
    document = (ROOT / "streams/local/knowledge/heron-air-3.md").read_text()
    assert answer["citations"]
    assert all(citation["quote"] in document for citation in answer["citations"])
    assert "14 months" in answer["text"]


def test_a_chinese_question_is_answered_in_chinese_and_streamed(system: System) -> None:
    asked = system.kotae("ask", "晨雾加湿器 M2 的水箱容量是多少升？", "--stream", "--json")
    *deltas, answer = [json.loads(line) for line in asked.stdout.splitlines()]
    assert "4.2 升" in answer["text"]
    # An empty piece, such as the end of a run, is told to nobody.
    sequences = [delta["sequence"] for delta in deltas]
    assert sequences == sorted(set(sequences))
    assert "".join(delta["text"] for delta in deltas) == answer["text"]


def test_two_tools_are_called_for_one_question(system: System) -> None:
    asked = system.kotae("ask", "What is 12 * 12, and what time is it in Tokyo?", "--json")
    calls = {call["name"]: call for call in json.loads(asked.stdout)["tool_calls"]}
    assert {name: call["status"] for name, call in calls.items()} == {"calculator": "ok", "clock": "ok"}
    assert "144" in calls["calculator"]["result"]


def test_kcat_asks_and_reads_as_the_readme_says(system: System) -> None:
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not installed (Debian: apt install kcat)")
    question = '{"id":"q-kcat","conversation_id":"user-7","text":"How long is the warranty in Europe?"}'
    broker = ["-b", system.bootstrap]
    subprocess.run(
        ["kcat", "-P", *broker, "-t", system.topics.questions, "-K", "|", "-H", "correlation_id=abc-123"],
        input=f"user-7|{question}\n",
        text=True,
        check=True,
        timeout=30,
    )
    # The answer is on its topic when a later question of the same conversation has one.
    system.kotae("ask", "Thank you. And in China?", "--conversation", "user-7")
    row = "%h\t%k\t%s\n"
    read = subprocess.run(
        ["kcat", "-C", *broker, "-t", system.topics.answers, "-e", "-q", "-o", "beginning", "-f", row],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    rows = [line.split("\t") for line in read.stdout.splitlines()]
    [(headers, key, value)] = [row for row in rows if json.loads(row[2])["question_id"] == "q-kcat"]
    assert "correlation_id=abc-123" in headers
    assert key == "user-7"
    assert "three years" in json.loads(value)["text"]


def test_a_worker_serves_metrics_health_and_state(system: System) -> None:
    system.kotae("ask", "How long is the warranty in Europe?")
    metrics = dict(line.rsplit(" ", 1) for line in system.get("/metrics").splitlines() if line[0] != "#")
    assert float(metrics['kotae_questions_finished_total{status="answered"}']) >= 1
    assert float(metrics["kotae_questions_incomplete"]) == 0
    assert float(metrics['kotae_attempts_total{dependency="model",outcome="ok"}']) >= 1
    state = system.state()
    model = state["dependencies"]["model"]
    del model["last_error"]  # a busy machine may let a call fail
    assert model == {"breaker": "closed", "limit": 1000, "in_use": 0, "waiting": 0}
    assert state["knowledge"]["caught_up"]
    assert len(state["partitions"]) == 6
    assert system.get("/health/live")


def fields_of(state: Any, path: str = "") -> set[str]:
    """The path of every field; `*` stands for the number of a partition and the name of a dependency."""
    if not isinstance(state, dict) or path == ".dependencies.*.last_error":
        return {path}
    named = path in {".partitions", ".dependencies", ".knowledge.partitions"}
    return {
        each for name, value in state.items() for each in fields_of(value, f"{path}.{'*' if named else name}")
    }


def test_the_state_keeps_its_fields(system: System) -> None:
    system.kotae("ask", "How long is the warranty in Europe?")
    golden = json.loads((ROOT / "tests/golden/names.json").read_text("utf-8"))
    assert sorted(fields_of(system.state())) == golden["state"]


def test_secrets_appear_in_no_output_log_or_topic(system: System) -> None:
    shown = system.kotae("config", "show")
    asked = system.kotae("ask", "How long is the warranty in Europe?", "--json")
    written = [shown.stdout, shown.stderr, asked.stdout, asked.stderr, system.get("/metrics")]
    written += [system.get("/state"), system.worker.output]
    assert not any(CANARY in text for text in written)


@pytest.mark.parametrize(
    ("arguments", "settings", "code", "said"),
    [
        (["worker"], {"KOTAE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}, 1, "kotae broker"),
        (["ask", "why?"], {"KOTAE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}, 1, "kotae broker"),
        (["worker"], {"KOTAE_KAFKA__TOPIC_PREFIX": "nobody-made-these."}, 1, "kotae topics create"),
        (["worker"], {"KOTAE_LIMITS__DEADLINE_S": "soon"}, 2, "KOTAE_LIMITS__DEADLINE_S"),
        (["worker"], {"KOTAE_LIMIT__DEADLINE_S": "3"}, 2, "KOTAE_LIMIT__DEADLINE_S"),
        (["worker"], {"KOTAE_COMPONENTS__RETRIEVER": "no.such:thing"}, 2, "no.such"),
        (["--config", "/nowhere.toml", "worker"], {}, 2, "/nowhere.toml"),
        (["wrok"], {}, 2, "wrok"),
        (["broker", "--port", "0"], {"PATH": "/nonexistent", "JAVA_HOME": ""}, 1, "Java"),
    ],
)
def test_an_operators_mistake_is_one_line_with_its_remedy(
    system: System, arguments: list[str], settings: dict[str, str], code: int, said: str
) -> None:
    done = system.kotae(*arguments, **settings)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    if arguments != ["wrok"]:
        assert len(done.stderr.strip().splitlines()) == 1


def test_a_taken_status_port_is_reported(system: System) -> None:
    port = system.status.rpartition(":")[2]
    done = system.kotae("worker", KOTAE_WORKER__HTTP_PORT=port)
    assert done.returncode == 1
    assert "KOTAE_WORKER__HTTP_PORT" in done.stderr.strip().splitlines()[-1]


async def test_the_demo_finds_its_answers_and_leaves_the_cluster_as_it_was(
    kafka_bootstrap: str, tmp_path: Path
) -> None:
    # On the run's own broker, to which the settings point it, with topics of its own.
    kafka = Kafka(bootstrap_servers=kafka_bootstrap, topic_prefix=f"demo-{tmp_path.name}.")
    mine = {topic.name for topic in await acreate_topics(kafka)}
    env = environment(
        KOTAE_KAFKA__BOOTSTRAP_SERVERS=kafka_bootstrap, KOTAE_KAFKA__TOPIC_PREFIX=kafka.topic_prefix
    )
    done = await asyncio.to_thread(kotae, "demo", env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 of 5 answers are as expected." in done.stdout
    assert done.stdout.count("━") > 50
    async with admin_client(kafka) as admin:
        left = {name for name in await admin.list_topics() if name.startswith(kafka.topic_prefix)}
    assert left == mine
    async with open_reader(kafka, Topics(kafka.topic_prefix).documents) as consumer:
        [(_, end)] = (await consumer.end_offsets(consumer.assignment())).items()
    assert end == 0, "the demo's documents are not mine"
