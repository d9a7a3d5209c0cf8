"""The promises of every index, tested on each of them.

The server one runs against the server that `KOTAE_TEST_QDRANT_URL` names, else a container where a Docker
engine answers, else over HTTP against a shim of the client library's local engine.
"""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from agents.knowledge.embedded import EmbeddedIndex
from agents.knowledge.index import Index
from agents.knowledge.server import ServerIndex
from schemas.document import Document
from tests.support.kafka import docker_answers
from tests.support.knowledge import MeaningList
from tests.support.qdrant_shim import running_shim

IMAGE = "qdrant/qdrant:latest"

LIGHTHOUSE = Document(
    id="lighthouse",
    title="Keeping the lighthouse",
    source="handbook/lighthouse.md",
    text="The lamp is lit at dusk. The keeper winds the clockwork every four hours.",
)
BAKERY = Document(
    id="bakery",
    title="The bakery",
    source="handbook/bakery.md",
    text="Bread is baked before dawn. The oven is cleaned on Sundays.",
)
TEA = Document(
    id="tea",
    title="茶叶手册",
    source="zh/tea.md",
    text="绿茶用八十度的水冲泡。红茶需要刚烧开的水，冲泡三分钟。",
)
WARRANTY = Document(
    id="warranty",
    title="保修政策",
    source="zh/warranty.md",
    text="所有产品的保修期是两年。电池的保修期是六个月。",
)


@pytest.fixture(scope="session")
def qdrant_url() -> Iterator[str]:
    named = os.environ.get("KOTAE_TEST_QDRANT_URL")
    if named:
        yield named
    elif docker_answers():
        from testcontainers.qdrant import QdrantContainer

        with QdrantContainer(IMAGE) as container:
            yield f"http://{container.rest_host_address}"
    else:
        with running_shim() as (url, _):
            yield url


@pytest.fixture(params=["embedded", "embedded+dense", "server", "server+dense"])
async def index(request: pytest.FixtureRequest) -> AsyncIterator[Index]:
    kind, _, dense = request.param.partition("+")
    embeddings = MeaningList() if dense else None
    made: Index
    if kind == "embedded":
        made = await asyncio.to_thread(EmbeddedIndex.open, embeddings=embeddings)
    else:
        url = request.getfixturevalue("qdrant_url")
        made = ServerIndex(url, f"test-{uuid.uuid4().hex}", embeddings=embeddings)
    yield made
    await made.aclose()


async def found(index: Index, text: str, tenant: str = "default", limit: int = 5) -> list[str]:
    return [passage.document_id for passage in await index.asearch(tenant, text, limit)]


def long_text(sentences: int, about: str) -> str:
    return " ".join(
        f"Sentence number {n} of many is about {about} and nothing else." for n in range(sentences)
    )


async def texts(index: Index, tenant: str, query: str) -> Sequence[str]:
    return [passage.text for passage in await index.asearch(tenant, query, 100)]


async def test_an_empty_index_finds_nothing(index: Index) -> None:
    assert await index.asearch("default", "anything at all", 5) == []
    assert await index.acount() == 0
    await index.adelete("default", "never there")


async def test_an_immediate_search_ends_in_one_turn_of_the_loop(index: Index) -> None:
    await index.aupsert([LIGHTHOUSE])
    searching = asyncio.create_task(index.asearch("default", "lighthouse", 5))
    await asyncio.sleep(0)
    assert searching.done() or not index.immediate
    assert await searching


async def test_the_best_passage_comes_first_with_all_its_fields(index: Index) -> None:
    await index.aupsert([LIGHTHOUSE, BAKERY])
    passages = await index.asearch("default", "When is the lamp lit?", 5)
    best = passages[0]
    assert best.document_id == "lighthouse"
    assert best.chunk_id == "lighthouse#0"
    assert (best.title, best.source, best.text) == (LIGHTHOUSE.title, LIGHTHOUSE.source, LIGHTHOUSE.text)
    scores = [passage.score for passage in passages]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0


async def test_chinese_is_found_by_its_words(index: Index) -> None:
    await index.aupsert([TEA, WARRANTY, LIGHTHOUSE])
    assert (await found(index, "电池的保修期是多久？"))[0] == "warranty"
    assert (await found(index, "红茶怎么冲泡"))[0] == "tea"


@pytest.mark.parametrize("index", ["embedded", "server"], indirect=True)
async def test_numbers_are_searched(index: Index) -> None:
    await index.aupsert([Document(id=f"v{n}", text=f"Release {n} of the product.") for n in range(20)])
    assert (await found(index, "What is in release 13?"))[0] == "v13"
    await index.aupsert(
        [Document(id="sum", text="The fine is 1,500 crowns."), Document(id="year", text="建于1999年。")]
    )
    assert (await found(index, "Who owes 1500?"))[0] == "sum"
    assert (await found(index, "１９９９"))[0] == "year"


async def test_a_title_is_searched_but_not_part_of_the_text(index: Index) -> None:
    await index.aupsert([LIGHTHOUSE, BAKERY, TEA])
    passages = await index.asearch("default", "bakery", 5)
    assert passages[0].document_id == "bakery"
    assert passages[0].text == BAKERY.text
    assert (await found(index, "茶叶手册"))[0] == "tea"


async def test_a_search_finds_no_more_than_its_limit(index: Index) -> None:
    await index.aupsert([Document(id=f"d{n}", text=f"A shared word and {n}.") for n in range(8)])
    assert len(await index.asearch("default", "shared word", 3)) == 3


async def test_every_chunk_of_a_long_document_is_found_and_is_a_substring(index: Index) -> None:
    document = Document(id="long", text=long_text(300, "gulls"))
    await index.aupsert([document])
    assert await index.acount() > 5
    passages = await index.asearch("default", "gulls", 100)
    assert len(passages) == await index.acount()
    assert all(passage.text in document.text for passage in passages)
    assert len({passage.chunk_id for passage in passages}) == len(passages)


async def test_a_replaced_document_leaves_nothing_behind(index: Index) -> None:
    await index.aupsert([Document(id="d", title="old", text=long_text(300, "gulls")), BAKERY])
    await index.aupsert([Document(id="d", title="new", text="Only terns now.")])
    assert await index.acount() == 2
    assert not any("gulls" in text for text in await texts(index, "default", "gulls"))
    passages = await index.asearch("default", "terns sentence", 9)
    assert [(passage.title, passage.text) for passage in passages if passage.document_id == "d"] == [
        ("new", "Only terns now.")
    ]


async def test_a_document_can_grow_and_be_upserted_unchanged(index: Index) -> None:
    grown = Document(id="d", text=long_text(300, "gulls"))
    await index.aupsert([Document(id="d", text="Short.")])
    await index.aupsert([grown])
    count = await index.acount()
    await index.aupsert([grown])
    await index.aupsert([grown, grown])
    assert await index.acount() == count > 5


async def test_the_last_of_several_versions_upserted_at_once_stays(index: Index) -> None:
    old, new = Document(id="d", text="The old wording."), Document(id="d", text="The new phrasing.")
    await index.aupsert([old])
    await index.aupsert([new, old, new])
    assert await texts(index, "default", "phrasing wording") == ["The new phrasing."]
    await index.aupsert([new, old])
    assert await texts(index, "default", "phrasing wording") == ["The old wording."]


@pytest.mark.parametrize("text", ["", " \n\t "])
async def test_a_document_without_text_is_not_found(index: Index, text: str) -> None:
    await index.aupsert([LIGHTHOUSE, BAKERY])
    await index.aupsert([Document(id="lighthouse", title="Keeping the lighthouse", text=text)])
    assert await index.acount() == 1
    assert "lighthouse" not in await found(index, "lighthouse lamp dusk")


async def test_a_deleted_document_is_gone_with_all_its_chunks(index: Index) -> None:
    await index.aupsert([Document(id="d", text=long_text(300, "gulls")), BAKERY])
    await index.adelete("default", "d")
    assert await index.acount() == 1
    assert "d" not in await found(index, "gulls sentence number")
    await index.aupsert([Document(id="d", text="Back again with gulls.")])
    assert (await found(index, "gulls"))[0] == "d"


async def test_tenants_see_and_touch_their_own_documents_only(index: Index) -> None:
    await index.aupsert(
        [
            Document(id="plan", tenant="red", text="The launch code is seven."),
            Document(id="plan", tenant="blue", text="The launch code is nine."),
        ]
    )
    assert await texts(index, "red", "launch code") == ["The launch code is seven."]
    assert await texts(index, "blue", "launch code") == ["The launch code is nine."]
    assert await index.asearch("green", "launch code", 5) == []
    assert await index.asearch("", "launch code", 5) == []
    await index.adelete("red", "plan")
    assert await texts(index, "red", "launch code") == []
    assert await texts(index, "blue", "launch code") == ["The launch code is nine."]


async def test_scores_do_not_depend_on_other_tenants(index: Index) -> None:
    mine = [
        Document(id="a", tenant="mine", text="Walrus and harbour."),
        Document(id="b", tenant="mine", text="Harbour and quay."),
    ]
    await index.aupsert([*mine, Document(id="c", tenant="theirs", text="Nothing of note.")])
    before = [(p.document_id, round(p.score, 4)) for p in await index.asearch("mine", "walrus harbour", 5)]
    await index.aupsert(
        [Document(id=f"t{n}", tenant="theirs", text=f"Walrus number {n}.") for n in range(40)]
    )
    after = [(p.document_id, round(p.score, 4)) for p in await index.asearch("mine", "walrus harbour", 5)]
    assert after == before


async def test_ids_and_tenants_may_be_any_text(index: Index) -> None:
    odd = ["räksmörgås/Ω?#%", "答え 1", "a\nb", "'; DROP TABLE", "🦀" * 20, "a/b", "a%2Fb", "A", "a"]
    documents = [
        Document(id=id_, tenant=tenant, text=f"Oddity {n}.")
        for n, id_ in enumerate(odd)
        for tenant in odd[:3]
    ]
    await index.aupsert(documents)
    assert await index.acount() == len(documents)
    for n, id_ in enumerate(odd):
        passages = await index.asearch(odd[1], f"oddity {n}", 20)
        by_text = {passage.text: (passage.document_id, passage.chunk_id) for passage in passages}
        assert by_text[f"Oddity {n}."] == (id_, f"{id_}#0")


@pytest.mark.parametrize(
    "text", ["", "   ", "?!", "a" * 32_768, "为什么" * 10_000, "word " * 6_000, "\x00\u202e"]
)
async def test_any_text_can_be_searched_for(index: Index, text: str) -> None:
    await index.aupsert([LIGHTHOUSE])
    await index.asearch("default", text, 5)


async def test_the_end_of_a_long_question_is_searched(index: Index) -> None:
    await index.aupsert([LIGHTHOUSE, BAKERY, TEA])
    preamble = "I was walking along and thought of this and that. " * 600
    assert (await found(index, preamble + "When is the oven cleaned?"))[0] == "bakery"
    assert (await found(index, "When is the oven cleaned? " + preamble))[0] == "bakery"


async def test_searches_work_during_writes(index: Index) -> None:
    async def write(number: int) -> None:
        for version in range(5):
            await index.aupsert([Document(id=f"d{number}", text=f"Version {version} of item {number}.")])

    async def search() -> None:
        for _ in range(20):
            for passage in await index.asearch("default", "version item", 5):
                assert passage.text.startswith("Version ")

    await asyncio.gather(*(write(number) for number in range(6)), search(), search())
    assert await index.acount() == 6
    assert all(text.startswith("Version 4") for text in await texts(index, "default", "version"))


@pytest.mark.parametrize("index", ["embedded+dense", "server+dense"], indirect=True)
async def test_with_embeddings_a_search_finds_other_words_of_the_same_meaning(index: Index) -> None:
    await index.aupsert(
        [
            Document(id="garage", text="The automobile stands in the yard."),
            Document(id="clinic", text="The physician is in on Mondays."),
            LIGHTHOUSE,
        ]
    )
    assert (await found(index, "car"))[0] == "garage"
    assert (await found(index, "医生"))[0] == "clinic"
    assert (await found(index, "Monday physician"))[0] == "clinic"


@pytest.mark.parametrize("index", ["embedded+dense", "server+dense"], indirect=True)
async def test_while_embeddings_are_away_a_search_uses_words(index: Index) -> None:
    await index.aupsert([LIGHTHOUSE, BAKERY])
    index._embeddings.away = True  # type: ignore[attr-defined]
    assert (await found(index, "When is the oven cleaned?"))[0] == "bakery"
