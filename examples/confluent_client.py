"""Ask without Kotae's code: confluent-kafka, JSON and text headers are all that a client needs.

It reads one partition of `answers.replies`, which it has drawn, without a group.

    pip install confluent-kafka
    python confluent_client.py "How long is the warranty?"
"""

import json
import os
import random
import sys
import time
import uuid

from confluent_kafka import OFFSET_END, Consumer, Producer, TopicPartition

KAFKA = os.environ.get("KAFKA", "127.0.0.1:9092")
PREFIX = os.environ.get("PREFIX", "")
PATIENCE_S = 33.0


def connect() -> tuple[Producer, Consumer, int]:
    """Return a producer, a consumer that reads one partition from its end, and that partition."""
    # Java's partitioner: librdkafka's own puts a conversation on another partition than other clients do.
    producer = Producer({"bootstrap.servers": KAFKA, "partitioner": "murmur2_random"})
    consumer = Consumer({"bootstrap.servers": KAFKA, "group.id": "unused", "enable.auto.commit": False})
    replies = f"{PREFIX}answers.replies"
    partition = random.randrange(len(consumer.list_topics(replies).topics[replies].partitions))
    end = consumer.get_watermark_offsets(TopicPartition(replies, partition))[1]
    # A number, not OFFSET_END: that is looked up later, perhaps after the reply.
    consumer.assign([TopicPartition(replies, partition, end if end >= 0 else OFFSET_END)])
    return producer, consumer, partition


def ask(text: str) -> dict[str, object]:
    """Print the answer while it is written, and return it.

    Raises:
        TimeoutError: no answer came; it may still be on `answers`.
    """
    producer, consumer, partition = connect()
    question = {"id": str(uuid.uuid4()), "text": text, "stream": True}
    correlation_id = str(uuid.uuid4()).encode()
    headers = {
        "correlation_id": correlation_id,
        "reply_to": f"{PREFIX}answers.replies".encode(),
        "reply_partition": str(partition).encode(),
        "reply_deltas": b"true",
        "timeout_ms": b"30000",
    }
    producer.produce(f"{PREFIX}questions", json.dumps(question), question["id"], headers=headers)
    producer.flush()
    until = time.monotonic() + PATIENCE_S
    try:
        while time.monotonic() < until:
            record = consumer.poll(1.0)
            if record is None or record.error():
                continue
            found = dict(record.headers() or [])
            if found.get("correlation_id") != correlation_id:
                continue  # another client has drawn the same partition
            message = json.loads(record.value())
            if found["ce_type"] == b"kotae.answer":
                return message
            print(message["text"], end="", flush=True)
    finally:
        consumer.close()
    raise TimeoutError("no answer")


if __name__ == "__main__":
    answer = ask(sys.argv[1])
    print("\n---", answer["status"], answer["text"])
