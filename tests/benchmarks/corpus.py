"""The knowledge of the benchmarks: distinct short documents, one chunk each."""

from aiokafka import AIOKafkaProducer

from schemas.codec import encode
from schemas.document import Document, document_key
from schemas.topics import Topics

CHUNKS = 2_000


def documents(count: int) -> list[Document]:
    """`count` documents."""
    return [
        Document(
            id=f"product-{n}",
            title=f"Product {n}",
            text=f"The warranty of product {n} lasts {n % 9 + 1} years. It was made in series {n * 7 % 1000} "
            f"and weighs {n % 50 + 1} kilograms. Spare parts are kept for {n % 20 + 5} years.",
        )
        for n in range(count)
    ]


async def publish(bootstrap: str, topics: Topics, knowledge: list[Document]) -> None:
    """Put documents on the `documents` topic."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5)
    await producer.start()
    try:
        for document in knowledge:
            key = document_key(document.tenant, document.id)
            await producer.send(topics.documents, encode(document), key=key)
    finally:
        await producer.stop()
