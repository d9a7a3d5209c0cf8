"""The rights that a command asks for follow from its settings."""

from streams.kafka.authorization import Operation, Right, worker_rights
from streams.settings.model import Settings, Worker


def groups(settings: Settings, knowledge_group: str | None) -> list[Right]:
    return [right for right in worker_rights(settings, knowledge_group) if right.resource == "group"]


def test_a_worker_with_an_index_of_its_own_needs_one_group() -> None:
    assert groups(Settings(), None) == [Right(Operation.READ, "group", "kotae")]


def test_a_worker_that_shares_an_index_also_needs_the_group_that_fills_it() -> None:
    assert groups(Settings(worker=Worker(group_id="qa")), "qa.knowledge") == [
        Right(Operation.READ, "group", "qa"),
        Right(Operation.READ, "group", "qa.knowledge"),
    ]
