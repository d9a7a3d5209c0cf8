"""The promises of every level of the cache, in memory and on Redis."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
from redis.asyncio import Redis

from agents.cache.memory import MemoryStore
from agents.cache.redis import RedisStore
from agents.cache.store import VALUE_BYTES_MAX, Store

KEY, OTHER = b"k" * 20, b"o" * 20


@dataclass
class Subject:
    store: Store
    wait: Callable[[float], Awaitable[None]]
    """Let time pass."""


@pytest.fixture(params=["memory", "redis"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "redis":
        shared = RedisStore(request.getfixturevalue("redis_url"), read_s=10, background_s=10)
        await flushed(request.getfixturevalue("redis_url"))
        yield Subject(shared, asyncio.sleep)
        await shared.aclose()
        return
    now = 1000.0

    async def wait(seconds: float) -> None:
        nonlocal now
        now += seconds

    store = MemoryStore(10 * VALUE_BYTES_MAX, clock=lambda: now)
    yield Subject(store, wait)
    await store.aclose()


async def flushed(url: str) -> None:
    async with Redis.from_url(url) as client:
        await client.flushdb()


async def kept(store: Store, key: bytes, value: bytes) -> None:
    """Wait until a value is there: `put` promises no time."""
    async with asyncio.timeout(10):
        while await store.aget(key) != value:  # noqa: ASYNC110 - a store sends no event
            await asyncio.sleep(0.005)


async def test_a_value_is_found_under_its_own_key_alone(subject: Subject) -> None:
    assert await subject.store.aget(KEY) is None
    subject.store.put(KEY, b"value \x00\xff", 60)
    await kept(subject.store, KEY, b"value \x00\xff")
    assert await subject.store.aget(OTHER) is None


async def test_a_later_value_replaces_an_earlier_one(subject: Subject) -> None:
    subject.store.put(KEY, b"first", 60)
    subject.store.put(KEY, b"second", 60)
    await kept(subject.store, KEY, b"second")


async def test_a_value_is_gone_after_its_lifetime(subject: Subject) -> None:
    subject.store.put(KEY, b"short", 0.5)
    subject.store.put(OTHER, b"long", 60)
    await kept(subject.store, OTHER, b"long")
    await subject.wait(0.6)
    assert await subject.store.aget(KEY) is None
    assert await subject.store.aget(OTHER) == b"long"


async def test_a_value_that_is_too_long_is_not_kept_nor_an_older_one_given(subject: Subject) -> None:
    longest = b"x" * VALUE_BYTES_MAX
    subject.store.put(OTHER, longest, 60)
    await kept(subject.store, OTHER, longest)
    subject.store.put(OTHER, longest + b"x", 60)
    subject.store.put(KEY, b"next", 60)
    await kept(subject.store, KEY, b"next")
    assert await subject.store.aget(OTHER) in {None, longest}


async def test_many_reads_at_once_each_get_their_own_value(subject: Subject) -> None:
    keys = [n.to_bytes(20) for n in range(300)]
    for key in keys:
        subject.store.put(key, b"of " + key, 60)
    await kept(subject.store, keys[-1], b"of " + keys[-1])
    assert await asyncio.gather(*map(subject.store.aget, keys)) == [b"of " + key for key in keys]


async def test_a_closed_store_raises_nothing(subject: Subject) -> None:
    await subject.store.aclose()
    await subject.store.aget(KEY)
    subject.store.put(KEY, b"late", 60)
