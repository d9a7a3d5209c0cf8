"""`kotae documents` and `kotae ingest --prune` on a real broker."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from agents.knowledge.embedded import EmbeddedIndex
from schemas.codec import encode
from schemas.document import Document, document_key
from schemas.topics import Topics
from streams.cli.main import run
from streams.knowledge.feed import KnowledgeFeed
from streams.settings.model import Kafka
from streams.telemetry.hook import Hook
from tests.support.engine import producing, read_topic
from tests.support.system import eventually, free_port

Kotae = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def kotae(
    kafka_settings: Kafka,
    topics: Topics,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Kotae:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KOTAE_KAFKA__BOOTSTRAP_SERVERS", kafka_settings.bootstrap_servers)
    monkeypatch.setenv("KOTAE_KAFKA__TOPIC_PREFIX", kafka_settings.topic_prefix)

    async def command(*arguments: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(run, arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


async def put(kafka: Kafka, topics: Topics, *records: tuple[bytes, bytes | None]) -> None:
    async with producing(kafka) as producer:
        for key, value in records:
            await producer.send(topics.documents, value, key=key)


def record(document: Document) -> tuple[bytes, bytes]:
    return document_key(document.tenant, document.id), encode(document)


async def test_documents_are_listed_shown_and_deleted_whatever_their_keys(
    kotae: Kotae, kafka_settings: Kafka, topics: Topics
) -> None:
    await put(
        kafka_settings,
        topics,
        record(Document(id="a/1", text="Old.")),
        record(Document(id="a/1", title="Terns", text="A tern.")),
        (b'"acme/b"', encode(Document(id="b", tenant="acme", text="A gull."))),
        record(Document(id="gone", text="Gone.")),
        (document_key("default", "gone"), None),
        (b"7", b"{"),
    )
    code, out, _ = await kotae("documents", "list", "--json")
    assert code == 0
    listed = {(each["tenant"], each["id"]): each for each in orjson.loads(out)}
    assert set(listed) == {("default", "a/1"), ("acme", "b")}
    assert (listed["default", "a/1"]["offset"], listed["default", "a/1"]["title"]) == (1, "Terns")
    code, out, _ = await kotae("documents", "list", "--tenant", "acme")
    assert out == "acme/b  7 characters  \n1 document\n"
    for name in ("default/a%2F1", "default/a/1"):
        code, out, _ = await kotae("documents", "show", name, "--json")
        assert (code, orjson.loads(out)["text"]) == (0, "A tern.")
    code, _, err = await kotae("documents", "show", "default/none")
    assert (code, "documents list" in err) == (2, True)
    assert (await kotae("documents", "delete", "acme/b"))[:2] == (0, "deleted 1 document\n")
    code, out, _ = await kotae("documents", "list", "--json")
    assert [each["id"] for each in orjson.loads(out)] == ["a/1"]
    written = await read_topic(kafka_settings, topics.documents, 7)
    assert (written[-1].key, written[-1].value) == (b'"acme/b"', None)


async def test_what_a_worker_skipped_is_listed_and_written_again(
    kotae: Kotae, kafka_settings: Kafka, topics: Topics
) -> None:
    broken = document_key("default", "broken")
    await put(
        kafka_settings,
        topics,
        (broken, b'{"id": "broken", "text": "A'),
        (b"7", b"["),
        (b"8", b"{"),
        (b"8", None),
    )
    index = await asyncio.to_thread(EmbeddedIndex.open)
    feed = KnowledgeFeed(kafka_settings, index, Hook())
    await feed.start()
    await eventually(lambda: feed.caught_up, 20, "the feed")
    await feed.stop()
    await index.aclose()

    async def state(_: web.Request) -> web.Response:
        return web.json_response({"knowledge": feed.state()})

    application = web.Application()
    application.router.add_get("/state", state)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    url = f"http://127.0.0.1:{port}"
    code, out, _ = await kotae("documents", "problems", "--url", url, "--json")
    found: list[dict[str, Any]] = orjson.loads(out)
    assert code == 0
    assert [(each["tenant"], each["id"], each["offset"]) for each in found] == [
        ("default", "broken", 0),
        ("", "7", 1),
        ("", "8", 3),
    ]
    assert all(each["reason"] and each["at"] for each in found)
    code, out, _ = await kotae("documents", "problems", "--url", url)
    assert out.splitlines()[0].endswith("not JSON in UTF-8: Input data was truncated")
    assert out.splitlines()[-1] == "3 skipped documents"
    assert await kotae("documents", "retry", "default/broken") == (0, "wrote 1 document again\n", "")
    code, out, err = await kotae("documents", "retry", "--all", "--url", url)
    assert (code, out) == (1, "wrote 2 documents again\n")
    assert "/8: the topic holds no record of it" in err
    written = await read_topic(kafka_settings, topics.documents, 7)
    assert [(each.key, each.value) for each in written[4:]] == [
        (broken, b'{"id": "broken", "text": "A'),
        (broken, b'{"id": "broken", "text": "A'),
        (b"7", b"["),
    ]
    assert (await kotae("documents", "retry"))[0] == 2
    await runner.cleanup()
    code, _, err = await kotae("documents", "problems", "--url", url)
    assert (code, err.count("\n"), "--url" in err) == (1, 1, True)


async def test_pruning_deletes_only_what_ingest_wrote_from_the_folder(
    kotae: Kotae, kafka_settings: Kafka, topics: Topics, tmp_path: Path
) -> None:
    for name in ("a.md", "b.md", "sub/c.md"):
        (tmp_path / "docs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "docs" / name).write_text(f"# {name}\n\nText.\n")
    (tmp_path / "docs2").mkdir()
    (tmp_path / "docs2" / "d.md").write_text("# D\n\nText.\n")
    assert (await kotae("ingest", "docs", "docs2"))[0] == 0
    assert (await kotae("ingest", "docs", "--tenant", "acme"))[0] == 0
    await put(
        kafka_settings, topics, record(Document(id="own", source="docs/own.md", text="Written by others."))
    )

    async def ids(tenant: str = "default") -> list[str]:
        _, out, _ = await kotae("documents", "list", "--tenant", tenant, "--json")
        return [each["id"] for each in orjson.loads(out)]

    everything = ["docs/a.md", "docs/b.md", "docs/sub/c.md", "docs2/d.md", "own"]
    assert await ids() == everything
    (tmp_path / "docs" / "b.md").unlink()
    (tmp_path / "docs" / "sub" / "c.md").unlink()
    code, out, _ = await kotae("ingest", "docs", "--prune", "--dry-run")
    assert (code, out.splitlines()[:2]) == (0, ["would delete docs/b.md", "would delete docs/sub/c.md"])
    assert await ids() == everything
    (tmp_path / "docs" / "bad.jsonl").write_text("{")
    assert (await kotae("ingest", "docs", "--prune"))[0] == 1
    assert await ids() == everything, "a file that cannot be read is not a file that is gone"
    (tmp_path / "docs" / "bad.jsonl").unlink()
    assert (await kotae("ingest", "docs", "--prune"))[0] == 0
    assert await ids() == ["docs/a.md", "docs2/d.md", "own"]
    assert await ids("acme") == ["docs/a.md", "docs/b.md", "docs/sub/c.md"]
    (tmp_path / "docs" / "a.md").unlink()
    for missing in ("docs", "nowhere"):
        code, _, err = await kotae("ingest", missing, "--prune")
        assert (code, "--force" in err) == (2, True)
    assert await ids() == ["docs/a.md", "docs2/d.md", "own"]
    assert (await kotae("ingest", "docs", "--prune", "--force"))[0] == 0
    assert await ids() == ["docs2/d.md", "own"]
    assert (await kotae("ingest", "docs2", "--dry-run"))[0] == 2
