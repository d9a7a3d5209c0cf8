"""A worker of this version finishes the questions of one of the last release that was killed."""

import hashlib
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas.question import Question
from tests.acceptance.conftest import kotae
from tests.acceptance.oracle.checker import check
from tests.acceptance.oracle.dialogue import WARRANTY, WARRANTY_ASKED, all_told, ask, teach
from tests.acceptance.oracle.world import Size, World, group_of, open_world
from tests.support.model_server import Reply, text
from tests.support.system import environment, eventually

RELEASED = Path(__file__).parent / "released"
WHEEL = RELEASED / "kotae-0.1.0-py3-none-any.whl"
SIZE = Size(questions=60, workers=1, partitions=2, session_s=6, latency_s=(0.0, 0.05))
SETTLED = 30
"""Questions that the old worker has answered and committed."""
LATER = 30
"""Questions that it is asked before it is killed."""
HELD = {f"later{number}" for number in range(0, LATER, 5)}
"""Of these the old worker has called the tool, and waits for the model."""


def test_the_wheel_is_the_released_one() -> None:
    [listed] = re.findall(rf"`{WHEEL.name}` \| `\w+` \| `(\w+)`", (RELEASED / "README.md").read_text("utf-8"))
    assert hashlib.sha256(WHEEL.read_bytes()).hexdigest() == listed


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """A folder from which `python -m streams` runs the last release."""
    folder = tmp_path / "released"
    zipfile.ZipFile(WHEEL).extractall(folder)
    assert kotae("--version", env=environment(), directory=folder).stdout == "kotae 0.1.0\n"
    return folder


async def test_a_worker_finishes_what_the_last_release_left(
    kafka_bootstrap: str, tmp_path: Path, released: Path
) -> None:
    async with open_world(kafka_bootstrap, tmp_path, SIZE, seed=13) as world:
        world.offer_tool()
        world.services.answer = _reply
        await teach(world, WARRANTY)
        settings = {"KOTAE_CACHE__TTL_S": "0", "KOTAE_KNOWLEDGE__PATH": str(tmp_path / "index")}
        old = world.start_worker(directory=released, **settings)
        await world.ready()
        await ask(world, _questions("settled", SETTLED))
        await eventually(world.drained, 30, "the old worker has committed its answers")
        world.services.answer = lambda name: replace(_reply(name), delay_s=60.0 if name in HELD else 0.0)
        await ask(world, _questions("later", LATER))
        await _left_behind(world, 30)
        await world.kill(old)

        left = _offsets(world)
        assert {partition["map"] for partition in left} == {"read"}, left
        done_above = sum(partition["completed"] for partition in left)
        assert done_above > 0, left

        world.services.answer = _reply
        new = world.start_worker(**settings)
        await world.ready()
        metrics = _metrics(await world.fetch(new, "/metrics"))
        ledgers = await world.finish()

        assert check(ledgers) == []
        told = {one.id: one.answer for one in await all_told(world)}
        assert len(told) == len(ledgers.outcomes) == SETTLED + LATER
        assert {answer["status"] for answer in told.values()} == {"answered"}
        assert all(answer["citations"] for answer in told.values())
        # The journal of the old worker holds the results: its tools are not called again.
        assert {name for name, answer in told.items() if answer["tool_calls"][0]["reused"]} == HELD
        # The map says where the scan of `answers` begins: committed answers are not read again.
        assert metrics["kotae_recovery_scanned_total"] < LATER
        assert done_above <= metrics["kotae_recovery_completed_total"] <= LATER - len(HELD)
        # Its index was made of other terms and chunks: it is made anew.
        assert metrics["kotae_documents_indexed_total"] == 1


def _questions(prefix: str, count: int) -> list[Question]:
    return [Question(id=f"{prefix}{number}", text=f"{WARRANTY_ASKED} ({number})") for number in range(count)]


def _reply(name: str) -> Reply:
    return text("The warranty of the Heron lasts three years [1].")


async def _left_behind(world: World, limit_s: float) -> None:
    """Wait until the old worker has answered all but the held ones, and has said so in a commit."""

    def answered_but_held() -> bool:
        world.observer.check_alive()
        paid = {call.question_id for call in world.services.tool_calls}
        waiting = {call.question_id for call in world.services.model_calls if call.stage == "generate"}
        return paid & waiting >= HELD and len(world.observer.answered) == SETTLED + LATER - len(HELD)

    await eventually(answered_but_held, limit_s, "the old worker waits for the held questions alone")
    done = len(world.observer.commits)
    await eventually(lambda: len(world.observer.commits) > done, limit_s, "and has committed what it did")


def _offsets(world: World) -> list[dict[str, Any]]:
    """The old worker's commits, as this version's `kotae offsets show` reads them."""
    env = environment(
        KOTAE_KAFKA__BOOTSTRAP_SERVERS=world.kafka.bootstrap_servers,
        KOTAE_KAFKA__TOPIC_PREFIX=world.kafka.topic_prefix,
        KOTAE_WORKER__GROUP_ID=group_of(world.kafka),
    )
    shown = kotae("offsets", "show", "--json", env=env)
    assert shown.returncode == 0, shown.stderr
    partitions: list[dict[str, Any]] = json.loads(shown.stdout)
    return partitions


def _metrics(page: bytes) -> dict[str, float]:
    lines = (line for line in page.decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}
