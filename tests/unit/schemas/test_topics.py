"""Names and creation settings of the topics."""

import pytest

from schemas.topics import Topics


def test_names() -> None:
    topics = Topics()
    assert topics.own == {
        "questions",
        "answers",
        "answers.deltas",
        "questions.dlq",
        "events",
        "journal",
        "documents",
        "answers.replies",
        "feedback",
        "questions.control",
    }
    assert topics.optional == {"answers.replies", "feedback", "questions.control"}


def test_the_prefix_is_before_every_name() -> None:
    assert Topics("qa.").own == {f"qa.{name}" for name in Topics().own}
    assert Topics("qa.").deltas == "qa.answers.deltas"


def test_every_topic_is_created_once() -> None:
    topics = Topics("x-")
    names = [spec.name for spec in topics.specs(4)]
    assert sorted(names) == sorted(topics.own)


@pytest.mark.parametrize(
    "name",
    [
        "questions",
        "answers",
        "answers.deltas",
        "questions.dlq",
        "events",
        "journal",
        "feedback",
        "questions.control",
    ],
)
def test_topics_beside_the_questions_have_as_many_partitions(name: str) -> None:
    assert {spec.name: spec.partitions for spec in Topics().specs(12)}[name] == 12


@pytest.mark.parametrize("partitions", [1, 64, 100])
def test_replies_have_partitions_of_their_own(partitions: int) -> None:
    [replies] = [spec for spec in Topics("p.").specs(partitions) if spec.name == "p.answers.replies"]
    assert replies.partitions == 64
    assert replies.configs["retention.ms"] == str(3600 * 1000)


def test_the_brokers_clock_dates_what_is_looked_for_by_time() -> None:
    stamped = {
        spec.name
        for spec in Topics().specs(6)
        if spec.configs.get("message.timestamp.type") == "LogAppendTime"
    }
    assert stamped == {
        "questions", "questions.control", "answers", "answers.replies", "documents", "feedback",
    }  # fmt: skip


def test_every_topic_has_its_retention_and_clean_up() -> None:
    configs = {spec.name: spec.configs for spec in Topics().specs(6)}
    retention = {name: int(config.get("retention.ms", "-1")) for name, config in configs.items()}
    size = {name: int(config.get("max.message.bytes", "0")) for name, config in configs.items()}
    assert configs["documents"]["cleanup.policy"] == "compact"
    assert all(
        config["cleanup.policy"] == "delete" for name, config in configs.items() if name != "documents"
    )
    assert retention["journal"] == 24 * 3600 * 1000
    assert retention["answers"] >= retention["questions"] > retention["answers.deltas"] > 0
    assert retention["questions.control"] == retention["questions"]
    assert configs["questions.control"]["message.timestamp.type"] == "LogAppendTime"
    assert retention["questions.dlq"] > retention["questions"]
    assert size["questions.dlq"] > size["questions"] > 0
    assert size["answers"] > size["questions"]
