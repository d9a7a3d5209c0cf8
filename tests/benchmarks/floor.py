"""The floor: what a worker costs at the least, written by hand on aiokafka and aiohttp.

The same consumer, retrieval, four HTTP calls and answer as the real worker, and nothing else: no
deadline, no order, no commit, no check, no trace. Reads the environment that the worker reads.
"""

import asyncio
import os
import tempfile
from typing import Any

import aiohttp
import msgspec
import orjson
import qdrant_edge as edge
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.document import Document
from schemas.question import Question

BOOTSTRAP = os.environ["KOTAE_KAFKA__BOOTSTRAP_SERVERS"]
PREFIX = os.environ["KOTAE_KAFKA__TOPIC_PREFIX"]
MODEL = os.environ["KOTAE_MODEL__BASE_URL"] + "/chat/completions"
TOOLS = os.environ["BENCH_TOOLS_URL"]
WITH_TOOLS = os.environ.get("BENCH_WITH_TOOLS") == "1"


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


async def read_documents() -> list[Document]:
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


async def main() -> None:
    index = Index(tempfile.mkdtemp())
    index.add(await read_documents())
    decoder = msgspec.json.Decoder(Question)
    consumer = AIOKafkaConsumer(
        f"{PREFIX}questions",
        bootstrap_servers=BOOTSTRAP,
        group_id="floor",
        enable_auto_commit=False,
        auto_offset_reset="latest",
    )
    producer = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, acks="all", enable_idempotence=True)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
    )
    outcomes: asyncio.Queue[tuple[int, bytes, bytes]] = asyncio.Queue()
    json_header = {"Content-Type": "application/json"}

    async def post(url: str, body: Any) -> Any:
        async with session.post(url, data=orjson.dumps(body), headers=json_header) as response:
            return orjson.loads(await response.read())

    async def tools(question: Question) -> list[Any]:
        if not WITH_TOOLS:
            return []
        specs = [
            {"type": "function", "function": {"name": f"tool{n}", "description": "A tool.", "parameters": {}}}
            for n in (1, 2)
        ]
        messages = [{"role": "user", "content": question.text}]
        plan = await post(MODEL, {"model": "benchmark", "messages": messages, "tools": specs})
        calls = plan["choices"][0]["message"]["tool_calls"]
        return await asyncio.gather(
            *(
                post(f"{TOOLS}/{call['function']['name']}", orjson.loads(call["function"]["arguments"]))
                for call in calls
            )
        )

    async def answer(partition: int, value: bytes) -> None:
        question = decoder.decode(value)
        passages = index.search(question.text)
        results = await tools(question)
        content = "\n".join([*passages, orjson.dumps(results).decode(), question.text])
        generated = await post(
            MODEL, {"model": "benchmark", "messages": [{"role": "user", "content": content}]}
        )
        text = generated["choices"][0]["message"]["content"]
        outcome = orjson.dumps(
            {"id": question.id, "question_id": question.id, "status": "answered", "text": text}
        )
        outcomes.put_nowait((partition, question.conversation_id.encode(), outcome))

    async def publish() -> None:
        while True:
            partition, key, value = await outcomes.get()
            await producer.send(f"{PREFIX}answers", value, key=key, partition=partition)

    await producer.start()
    await consumer.start()
    publishing = asyncio.create_task(publish())
    running: set[asyncio.Task[None]] = set()
    print("ready", flush=True)
    try:
        while True:
            for tp, records in (await consumer.getmany(timeout_ms=1000)).items():
                for record in records:
                    task = asyncio.create_task(answer(tp.partition, record.value))
                    running.add(task)
                    task.add_done_callback(running.discard)
    finally:
        publishing.cancel()


if __name__ == "__main__":
    asyncio.run(main())
