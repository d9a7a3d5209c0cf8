"""Ask over Kafka from Python: `from streams.client import AskClient`."""

from streams.client.asking import AskClient

__all__ = ["AskClient"]
