"""The caches that the settings describe."""

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from agents.cache.answers import RESULTS, AnswerCache
from agents.cache.keys import AnswerKeys, Versions
from agents.cache.memory import MemoryStore
from agents.cache.passages import CachedRetriever
from agents.components import Retriever
from agents.knowledge.index import Index
from agents.knowledge.version import Version
from agents.loading import Resources
from agents.models.prompt import PROMPT_VERSION
from streams.assembly.stores import VectorStore
from streams.settings.errors import SettingsError
from streams.settings.model import Settings
from streams.settings.secrets import masked
from streams.telemetry import catalogue
from streams.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from agents.cache.redis import RedisStore


class Caches:
    """Keeps answers and search results in one memory, as the settings say."""

    def __init__(self, settings: Settings, store: VectorStore, index: Index, versions: Versions) -> None:
        self._settings = settings
        self._index = index
        self._found_in = _found_in(settings, store)
        self._versions = _WhileWhole(index, versions)
        self._memory = MemoryStore(settings.cache.max_bytes)
        self._shared: RedisStore | None = None
        self._searches: CachedRetriever | None = None
        self.answers: AnswerCache | None = None
        """None: answers are not kept, because of the settings, or because they may depend on unknown data."""

    def state(self) -> dict[str, Any]:
        """Return the caches' part of `/state`: their sizes, and the results of look-ups."""
        return {
            "entries": self._memory.entries,
            "bytes": self._memory.used_bytes,
            "answers": None if self.answers is None else {r: self.answers.results[r] for r in RESULTS},
            "searches": None if self._searches is None else self._searches.state(),
            "redis": None if self._shared is None else self._shared.state(),
        }

    def keep_searches(self, retriever: Retriever) -> Retriever:
        """Return the retriever, behind a cache of its results where a search may wait for a server."""
        settings = self._settings
        if self._index.immediate or not settings.cache.ttl_s:
            return retriever
        self._searches = CachedRetriever(
            retriever,
            made_by=self._found_in,
            versions=self._versions,
            lapses=lambda: self._index.lapses,
            memory=self._memory,
            ttl_s=settings.cache.ttl_s,
        )
        return self._searches

    def keep_answers(self, resources: Resources) -> AnswerCache | None:
        """Make `answers`, the cache of the pipeline with these resources.

        Raises:
            SettingsError: the address of Redis has an unknown option.
        """
        settings, cache = self._settings, self._settings.cache
        if not cache.ttl_s or (_own_components(settings) and not cache.own_components):
            return None
        self._shared = None
        if cache.redis_url:
            self._shared = open_shared(cache.redis_url, settings.egress.ca_file)
        self.answers = AnswerCache(
            AnswerKeys(self._found_in | _made_by(settings), resources.tool_executor, self._versions),
            self._memory,
            self._shared,
            ttl_s=cache.ttl_s,
            journal=resources.journal,
        )
        return self.answers


class _WhileWhole:
    """Has no version while searches find less than they could, so that their results are not kept."""

    def __init__(self, index: Index, versions: Versions) -> None:
        self._index = index
        self._versions = versions

    def of(self, tenant: str) -> Version | None:
        return None if self._index.weakened else self._versions.of(tenant)


def open_shared(url: str, ca_file: str, background_s: float | None = None) -> "RedisStore":
    """Open the cache in Redis; `background_s` replaces its limit for a connection.

    Raises:
        SettingsError: the address has an unknown option.
    """
    # Imported only where a server is used: its client costs 12 MB and 0.2 s.
    from agents.cache.redis import BACKGROUND_S, RedisStore  # noqa: PLC0415

    try:
        return RedisStore(url, ca_file=ca_file, background_s=background_s or BACKGROUND_S)
    except ValueError as error:  # an option in the address that the client does not know
        raise SettingsError(f"cache.redis_url: {error}") from error


def watch_cache(metrics: Metrics, cache: AnswerCache) -> None:
    """Make the cache's counters metrics."""
    for result in RESULTS:
        metrics.watch(catalogue.CACHE_LOOKUPS, partial(cache.results.__getitem__, result), (result,))
    metrics.watch(catalogue.CACHE_BYTES, lambda: cache.memory.used_bytes)
    shared = cache.shared
    if shared is not None:
        metrics.watch(catalogue.CACHE_ERRORS, lambda: shared.errors)
        metrics.watch(catalogue.CACHE_DROPPED, lambda: shared.dropped)


def _own_components(settings: Settings) -> dict[str, str]:
    return {name: named for name, named in msgspec.structs.asdict(settings.components).items() if named}


def _found_in(settings: Settings, store: VectorStore) -> dict[str, Any]:
    """The settings that decide on the passages that a search finds; no secrets."""
    embeddings, knowledge = settings.embeddings, settings.knowledge
    return {
        "embeddings": msgspec.structs.replace(embeddings, api_key=""),
        "knowledge": [store.name, *store.identity(knowledge), knowledge.top_k],
        "documents": settings.kafka.topic_prefix,
    }


def _made_by(settings: Settings) -> dict[str, Any]:
    """Return the settings that answers depend on besides the passages; no secrets."""
    model = settings.model
    return {
        "prompt": PROMPT_VERSION,
        "model": [
            *(model.base_url, model.name, model.max_tokens, model.temperature),
            *(masked("parameters", model.parameters), model.system_role),
        ],
        "components": _own_components(settings),
        # Headers are left out: they may hold secrets, and say who asks, not which question.
        "tools": {
            name: {key: value for key, value in tool.items() if key != "headers"}
            for name, tool in settings.tools.items()
        },
    }
