"""A sender, copies and a publisher, all connected to one broker in memory."""

from typing import Any

import pytest

from streams.publishing.copies import Copies
from streams.publishing.publisher import Publisher
from streams.publishing.sending import Sender
from tests.support.outcomes import outcomes
from tests.support.producer import FakeBroker, RecordingHook


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


@pytest.fixture
def hook() -> RecordingHook:
    return RecordingHook()


@pytest.fixture
async def sender(broker: FakeBroker, hook: RecordingHook) -> Any:
    made = Sender(open_producer=broker.open, topics=["t.answers"], rebuild=True, hook=hook)  # type: ignore[arg-type]
    await made.start()
    yield made
    await made.aclose(timeout_s=1)


@pytest.fixture
async def copies(broker: FakeBroker, hook: RecordingHook) -> Any:
    made = Copies(
        Sender(open_producer=broker.open, topics=[], rebuild=False, hook=hook, patience_s=0.1),  # type: ignore[arg-type]
        reply_topics=["replies"],
        hook=hook,
    )
    await made.start()
    yield made
    await made.aclose(timeout_s=1)


@pytest.fixture
def publisher(sender: Sender, copies: Copies, hook: RecordingHook) -> Publisher:
    return Publisher(sender, copies=copies, shrink=outcomes().shrink, hook=hook)
