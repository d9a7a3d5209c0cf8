"""The server index: its errors, and the collection that it creates or refuses."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from qdrant_client import models

from agents.errors import DependencyError, PermanentError, ThrottledError, TransientError
from agents.http.pool import MAX_RESPONSE_BYTES
from agents.knowledge.server import ServerIndex
from schemas.document import Document
from tests.support.knowledge import MeaningList
from tests.support.qdrant_shim import QdrantShim, running_shim

DOCUMENT = Document(id="d", text="Text.")


@pytest.fixture
def served() -> Iterator[tuple[str, QdrantShim]]:
    with running_shim() as running:
        yield running


@pytest.fixture
async def index(served: tuple[str, QdrantShim]) -> AsyncIterator[ServerIndex]:
    made = ServerIndex(served[0], "kotae")
    yield made
    await made.aclose()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (500, TransientError),
        (503, ThrottledError),
        (429, ThrottledError),
        (401, PermanentError),
        (404, PermanentError),
    ],
)
async def test_http_statuses_become_the_right_errors(
    index: ServerIndex, served: tuple[str, QdrantShim], status: int, error: type[Exception]
) -> None:
    served[1].failing = status
    with pytest.raises(error):
        await index.asearch("default", "text", 5)
    served[1].failing = None
    await index.aupsert([DOCUMENT])
    assert await index.asearch("default", "text", 5)


async def test_a_missing_server_is_a_transient_error() -> None:
    index = ServerIndex("http://127.0.0.1:9", "kotae")
    with pytest.raises(TransientError):
        await index.aupsert([DOCUMENT])
    await index.aclose()


@pytest.mark.parametrize("url", ["http://127.0.0.1:80", "https://127.0.0.1:443/prefix", "http://127.0.0.1"])
async def test_only_the_port_in_the_url_is_called(url: str) -> None:
    index = ServerIndex(url, "kotae")
    with pytest.raises(DependencyError) as failure:
        await index.asearch("default", "text", 5)
    # A call to another port would be refused.
    assert "egress" not in str(failure.value)
    await index.aclose()


async def test_the_collection_is_made_once_with_indexes_on_its_fields(
    served: tuple[str, QdrantShim],
) -> None:
    indexes = [ServerIndex(served[0], "kotae") for _ in range(5)]
    await asyncio.gather(*(index.aupsert([DOCUMENT]) for index in indexes))
    assert await indexes[0].acount() == 1
    made = served[1].payload_indexes["kotae"]
    assert made["tenant"].is_tenant
    assert set(made) == {"tenant", "document", "vectors", "key"}
    for index in indexes:
        await index.aclose()


@pytest.mark.parametrize(
    ("words", "dense", "says"),
    [
        ({}, {"size": 5}, "sparse vector 'bm25'"),
        ({"bm25": models.SparseVectorParams()}, {"size": 5}, "IDF"),
    ],
)
async def test_an_unfit_collection_is_refused(
    served: tuple[str, QdrantShim],
    words: dict[str, models.SparseVectorParams],
    dense: dict[str, int] | None,
    says: str,
) -> None:
    vectors = {"dense": models.VectorParams(distance=models.Distance.COSINE, **dense)} if dense else {}
    served[1].engine.create_collection("kotae", vectors_config=vectors, sparse_vectors_config=words)
    index = ServerIndex(served[0], "kotae", embeddings=MeaningList())
    with pytest.raises(PermanentError, match=says) as refused:
        await index.aupsert([DOCUMENT])
    assert "KOTAE_KNOWLEDGE__COLLECTION" in str(refused.value)
    await index.aclose()


async def test_without_its_embeddings_documents_are_found_by_words_and_get_vectors_later(
    served: tuple[str, QdrantShim],
) -> None:
    embeddings = MeaningList()
    embeddings.away = True
    index, other = (ServerIndex(served[0], "kotae", embeddings=embeddings) for _ in range(2))
    long = Document(id="garage", text="The automobile stands in the yard. " * 200)
    await index.aupsert([long, *(Document(id=f"d{n}", text=f"Item {n}.") for n in range(20))])
    assert [each.document_id for each in await other.asearch("default", "automobile", 1)] == ["garage"]
    assert index.lacking == await other.acount_lacking() == 21
    assert other.weakened
    with pytest.raises(TransientError):
        await index.aembed_lacking()
    embeddings.away = False
    await index.aupsert([Document(id="d0", text="The physician comes.")])
    assert await index.aembed_lacking() == []
    assert index.lacking == await other.acount_lacking() == 0
    lapses = other.lapses
    found = [(await other.asearch("default", text, 1))[0].document_id for text in ("car", "doctor")]
    assert (found, other.lapses) == (["garage", "d0"], lapses)
    for each in (index, other):
        await each.aclose()


async def test_vectors_of_a_document_that_changed_meanwhile_are_not_kept(
    served: tuple[str, QdrantShim],
) -> None:
    embeddings = MeaningList()
    embeddings.away = True
    index, other = (ServerIndex(served[0], "kotae", embeddings=embeddings) for _ in range(2))
    await index.aupsert([Document(id="d", text="The automobile stands in the yard.")])
    embeddings.away = False

    async def change(texts: Sequence[str]) -> list[list[float]]:
        embeddings.aembed = embed  # type: ignore[method-assign]  # once
        embeddings.away = True
        await other.aupsert([Document(id="d", text="The physician comes.")])
        embeddings.away = False
        return await embed(texts)

    embed = embeddings.aembed
    embeddings.aembed = change  # type: ignore[method-assign]  # as a slow server
    await index.aembed_lacking()
    assert index.lacking == 1
    await index.aembed_lacking()
    assert index.lacking == 0
    assert (await index.asearch("default", "doctor", 1))[0].document_id == "d"
    for each in (index, other):
        await each.aclose()


async def test_a_collection_of_words_gets_vectors_once_there_are_embeddings(
    served: tuple[str, QdrantShim],
) -> None:
    words = ServerIndex(served[0], "kotae")
    await words.aupsert([Document(id="garage", text="The automobile stands in the yard.")])
    await words.aclose()
    index = ServerIndex(served[0], "kotae", embeddings=MeaningList())
    await index.aupsert([DOCUMENT])
    await index.acount_lacking()
    await index.aembed_lacking()
    assert index.lacking == 0
    assert (await index.asearch("default", "car", 1))[0].document_id == "garage"
    await index.aclose()


async def test_an_older_server_waits_for_the_first_vectors(served: tuple[str, QdrantShim]) -> None:
    served[1].version = (1, 16)
    embeddings = MeaningList()
    embeddings.away = True
    index = ServerIndex(served[0], "kotae", embeddings=embeddings)
    with pytest.raises(TransientError, match=r"older than 1\.18"):
        await index.aupsert([DOCUMENT])
    embeddings.away = False
    await index.aupsert([DOCUMENT])
    embeddings.away = True
    await index.aupsert([Document(id="late", text="Late.")])
    assert index.lacking == 1
    embeddings.away = False
    await index.aembed_lacking()
    assert index.lacking == 0
    await index.aclose()


async def test_the_keys_of_documents_are_noted_with_them(index: ServerIndex) -> None:
    assert await index.aheld() == {}
    await index.aupsert([DOCUMENT, Document(id="e", text="Text.")])
    await index.ahold({("default", "d"): "k1"})
    assert await index.aheld() == {("default", "d"): "k1"}
    await index.aupsert([DOCUMENT])
    assert await index.aheld() == {}


@asynccontextmanager
async def answering(response: Callable[[], web.Response]) -> AsyncIterator[ServerIndex]:
    async def answer(_: web.Request) -> web.Response:
        return response()

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    index = ServerIndex(f"http://127.0.0.1:{runner.addresses[0][1]}", "kotae")
    try:
        yield index
    finally:
        await index.aclose()
        await runner.cleanup()


async def test_an_endless_response_is_not_read_for_ever() -> None:
    async with answering(lambda: web.Response(body=b" " * (MAX_RESPONSE_BYTES + 1))) as index:
        with pytest.raises(PermanentError, match="longer than"):
            await index.asearch("default", "text", 5)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("value", "wait_s"), [("7", 7.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", None)]
)
async def test_a_throttling_server_is_given_the_time_it_asks_for(
    status: int, value: str, wait_s: float | None
) -> None:
    async with answering(lambda: web.Response(status=status, headers={"Retry-After": value})) as index:
        with pytest.raises(ThrottledError) as throttled:
            await index.asearch("default", "text", 5)
    # The client library reads only a number, and only with 429.
    assert throttled.value.retry_after_s == (None if status == 429 and value != "7" else wait_s)


class Longer(MeaningList):
    """As `MeaningList`, with seven more numbers in a vector."""

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[*vector, *[0.0] * 7] for vector in await super().aembed(texts)]


async def first(index: ServerIndex, text: str) -> str:
    found = await index.asearch("default", text, 1)
    return found[0].document_id if found else ""


@pytest.mark.parametrize("shown_by", ["a document", "a search"])
async def test_vectors_of_another_length_are_all_made_anew(
    served: tuple[str, QdrantShim], caplog: pytest.LogCaptureFixture, shown_by: str
) -> None:
    older = ServerIndex(served[0], "kotae", embeddings=MeaningList())
    await older.aupsert([Document(id="garage", text="The automobile stands here.")])
    newer = ServerIndex(served[0], "kotae", embeddings=Longer())
    if shown_by == "a document":
        await newer.aupsert([Document(id="ward", text="The physician is on the ward.")])
        assert await first(newer, "doctor") == "ward"
    else:
        assert await first(newer, "car") == ""
    while newer.lacking:
        assert await newer.aembed_lacking() == []
    assert await first(newer, "car") == "garage"
    told = [record.message for record in caplog.records if "made anew" in record.message]
    assert len(told) == 1
    assert "vectors of 64 numbers, but the embeddings make 71" in told[0]
    # The worker with the older model goes on with words, and takes nothing back.
    assert await first(older, "automobile") == "garage"
    await older.aupsert([Document(id="mill", text="The miller grinds flour.")])
    assert await first(older, "miller") == "mill"
    await newer.acount_lacking()
    while newer.lacking:
        await newer.aembed_lacking()
    assert await first(newer, "car") == "garage"
    await older.aclose()
    await newer.aclose()
