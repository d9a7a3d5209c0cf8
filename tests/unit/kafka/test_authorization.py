"""Which rights a command asks for, by its settings."""

from streams.kafka.authorization import Operation, Right, worker_rights
from streams.settings.model import Knowledge, Settings, Worker


def groups(settings: Settings) -> list[Right]:
    return [right for right in worker_rights(settings) if right.resource == "group"]


def test_a_worker_with_an_index_of_its_own_needs_one_group() -> None:
    assert groups(Settings()) == [Right(Operation.READ, "group", "kotae")]


def test_one_that_shares_an_index_needs_the_group_that_fills_it_too() -> None:
    settings = Settings(
        worker=Worker(group_id="qa"), knowledge=Knowledge(qdrant_url="http://qdrant.internal:6333")
    )
    assert groups(settings) == [
        Right(Operation.READ, "group", "qa"),
        Right(Operation.READ, "group", "qa.knowledge"),
    ]
