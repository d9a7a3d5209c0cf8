"""A search is not repeated for the same tenant and the same version of its knowledge."""

import asyncio
from dataclasses import dataclass, field

import pytest

from agents.cache.memory import MemoryStore
from agents.cache.passages import CachedRetriever
from agents.cache.patience import NEGATIVE_TTL_S
from agents.components import Call
from agents.errors import TransientError
from agents.knowledge.version import Version
from schemas.question import Question
from tests.support.components import PASSAGE, FakeRetriever

pytestmark = pytest.mark.looptime


@dataclass
class Knowledge:
    """Gives each tenant the version that a test sets."""

    version: Version | None = ((0, 1, 1),)
    lapses: int = 0

    def of(self, tenant: str) -> Version | None:
        return self.version


@dataclass
class Parts:
    inner: FakeRetriever = field(default_factory=FakeRetriever)
    knowledge: Knowledge = field(default_factory=Knowledge)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.cached = CachedRetriever(
            self.inner,
            made_by="here",
            versions=self.knowledge,
            lapses=lambda: self.knowledge.lapses,
            memory=MemoryStore(100_000, clock=lambda: self.now),
            ttl_s=3600,
        )

    async def find(self, text: str = "How long?", tenant: str = "a") -> list[str]:
        question = Question(id="q", text=text, tenant=tenant)
        deadline = asyncio.get_running_loop().time() + 10
        return [one.text for one in await self.cached.aretrieve(question, Call("q", "retrieve", deadline))]

    @property
    def searches(self) -> int:
        return len(self.inner.calls)


async def test_a_repeated_search_finds_all_passages_without_searching_again() -> None:
    parts = Parts()
    assert await parts.find() == await parts.find(" How long?\r\n") == [PASSAGE.text]
    assert parts.searches == 1


async def test_another_tenant_text_or_version_is_searched_again() -> None:
    parts = Parts()
    await parts.find()
    await parts.find(tenant="b")
    await parts.find("How short?")
    assert parts.searches == 3
    parts.knowledge.version = ((0, 2, 2),)
    await parts.find()
    assert parts.searches == 4


async def test_nothing_is_kept_while_the_version_is_unknown_or_changes() -> None:
    parts = Parts()
    parts.knowledge.version = None
    await parts.find()
    await parts.find()
    assert parts.searches == 2
    parts.knowledge.version, parts.inner.delay_s = ((0, 1, 1),), 1.0
    asked = asyncio.create_task(parts.find())
    await asyncio.sleep(0.5)
    parts.knowledge.version = ((0, 2, 2),)
    await asked
    parts.knowledge.version = ((0, 1, 1),)
    await parts.find()
    assert parts.searches == 4


async def test_a_search_that_found_less_than_it_could_is_not_kept() -> None:
    parts = Parts(FakeRetriever(delay_s=1.0))
    asked = asyncio.create_task(parts.find())
    await asyncio.sleep(0.5)
    parts.knowledge.lapses += 1
    await asked
    await parts.find()
    assert parts.searches == 2


async def test_searches_at_once_are_made_once_and_a_failure_is_not_shared() -> None:
    parts = Parts(FakeRetriever(delay_s=1.0))
    found = await asyncio.gather(*[parts.find() for _ in range(5)])
    assert found == [[PASSAGE.text]] * 5
    assert parts.searches == 1
    parts = Parts(FakeRetriever(delay_s=1.0, error=TransientError("index", "down")))
    first, second = asyncio.create_task(parts.find()), asyncio.create_task(parts.find())
    await asyncio.sleep(0.5)
    parts.inner.error = None
    first.cancel()
    assert await second == [PASSAGE.text]
    assert parts.searches == 2


async def test_an_empty_result_has_a_short_lifetime() -> None:
    parts = Parts(FakeRetriever(passages=()))
    assert await parts.find() == await parts.find() == []
    assert parts.searches == 1
    parts.now += NEGATIVE_TTL_S
    await parts.find()
    assert parts.searches == 2
