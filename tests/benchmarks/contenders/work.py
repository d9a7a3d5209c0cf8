"""The work of every contender for one question: retrieval, plan, tools and answer, on aiohttp.

No deadline, no check, no trace. `BENCH_TOOLS_URL` is the tools' address, `BENCH_TOOLS` their number (with 0
nothing is planned), `BENCH_SEQUENTIAL=1` runs one stage after another, `BENCH_REMOTE=1` asks a server before
it searches.
"""

import asyncio
import os
import tempfile
from typing import Any

import aiohttp
import msgspec
import orjson
import qdrant_edge as edge
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.document import Document

BOOTSTRAP = os.environ.get("KOTAE_KAFKA__BOOTSTRAP_SERVERS", "")
PREFIX = os.environ.get("KOTAE_KAFKA__TOPIC_PREFIX", "")
QUESTIONS = f"{PREFIX}questions"
ANSWERS = f"{PREFIX}answers"
CONCURRENCY = 500
"""Workers or agents for frameworks that need a number; as many as in the notes' comparison."""

_MODEL = os.environ.get("KOTAE_MODEL__BASE_URL", "") + "/chat/completions"
_TOOLS = os.environ.get("BENCH_TOOLS_URL", "")
_SEQUENTIAL = os.environ.get("BENCH_SEQUENTIAL") == "1"
_REMOTE = os.environ.get("BENCH_REMOTE") == "1"
_SPECS = [
    {"type": "function", "function": {"name": f"tool{n}", "description": "A tool.", "parameters": {}}}
    for n in range(1, int(os.environ.get("BENCH_TOOLS", "0")) + 1)
]
_JSON = {"Content-Type": "application/json"}


class Index:
    """BM25 over the benchmark's documents, called directly."""

    def __init__(self, folder: str) -> None:
        self.bm25 = edge.Bm25(edge.Bm25Config(tokenizer=edge.TokenizerType.Multilingual))
        config = edge.EdgeConfig(
            sparse_vectors={"bm25": edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
            max_search_threads=1,
        )
        self.shard = edge.EdgeShard.create(folder, config)

    def add(self, documents: list[Document]) -> None:
        points = [
            edge.Point(n, {"bm25": self.bm25.embed_document(document.text)}, {"text": document.text})
            for n, document in enumerate(documents)
        ]
        self.shard.update(edge.UpdateOperation.upsert_points(points))

    def search(self, text: str) -> list[str]:
        query = edge.Query.Nearest(self.bm25.embed_query(text), using="bm25")
        found = self.shard.query(edge.QueryRequest(query=query, limit=5, with_payload=True))
        return [point.payload["text"] for point in found]


class Work:
    """The stages of one question, with their index and connections; made by `aopen`."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
        )

    @classmethod
    async def aopen(cls) -> "Work":
        index = Index(tempfile.mkdtemp())
        index.add(await read_documents())
        return cls(index)

    async def aclose(self) -> None:
        await self._session.close()

    async def aanswer(self, question_id: str, text: str) -> bytes:
        """Answer a question; returns the answer as it is published."""
        if _REMOTE and not _SEQUENTIAL:
            passages, results = await asyncio.gather(self._retrieve(text), self._tools(text))
        else:
            passages = await self._retrieve(text)
            results = await self._tools(text)
        content = "\n".join([*passages, orjson.dumps(results).decode(), text])
        generated = await self._post(
            _MODEL, {"model": "benchmark", "messages": [{"role": "user", "content": content}]}
        )
        return orjson.dumps(
            {
                "id": question_id,
                "question_id": question_id,
                "status": "answered",
                "text": generated["choices"][0]["message"]["content"],
            }
        )

    async def _retrieve(self, text: str) -> list[str]:
        if _REMOTE:
            await self._post(f"{_TOOLS}/retrieve", {"text": text})
        return self._index.search(text)

    async def _tools(self, text: str) -> list[Any]:
        if not _SPECS:
            return []
        messages = [{"role": "user", "content": text}]
        plan = await self._post(_MODEL, {"model": "benchmark", "messages": messages, "tools": _SPECS})
        called = [
            self._post(f"{_TOOLS}/{call['function']['name']}", orjson.loads(call["function"]["arguments"]))
            for call in plan["choices"][0]["message"]["tool_calls"]
        ]
        if _SEQUENTIAL:
            return [await call for call in called]
        return await asyncio.gather(*called)

    async def _post(self, url: str, body: Any) -> Any:
        async with self._session.post(url, data=orjson.dumps(body), headers=_JSON) as response:
            return orjson.loads(await response.read())


async def read_documents() -> list[Document]:
    """All records that `documents` holds now."""
    topic = f"{PREFIX}documents"
    consumer = AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP, auto_offset_reset="earliest")
    await consumer.start()
    await consumer._client.set_topics([topic])
    partitions = [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic) or ()]
    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)
    documents = []
    while any([await consumer.position(tp) < end for tp, end in ends.items()]):
        for records in (await consumer.getmany(timeout_ms=200)).values():
            documents += [msgspec.json.decode(record.value, type=Document) for record in records]
    await consumer.stop()
    return documents
