"""The pipeline that the settings describe, with all that it holds open."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agents.cache.answers import AnswerCache
from agents.components import Generator, Planner, Retriever, ToolExecutor
from agents.egress import Endpoint, endpoint, parse_allowed
from agents.errors import DependencyError
from agents.graph import Graph, GraphError, Observer
from agents.http import HttpPool
from agents.knowledge.embeddings import OpenAIEmbeddings
from agents.knowledge.index import Index
from agents.knowledge.retriever import IndexRetriever
from agents.knowledge.version import KnowledgeVersions
from agents.loading import LoadingError, Resources, load_component, make_component
from agents.models.extractive import ExtractiveGenerator, NoPlanner
from agents.models.openai import OpenAIModel
from agents.pipeline import Budgets, Components, Pipeline, default_graph
from agents.tools.executor import RegistryExecutor
from agents.tools.journal import Journal, NoJournal
from agents.tools.python_tool import python_tools
from agents.tools.registry import ToolRegistry
from agents.tools.table import table_tools
from agents.tools.tool import ToolConfigError
from streams.assembly.cache import build_cache
from streams.errors import OperatorError, SettingsError
from streams.settings import Settings

Closer = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Answerer:
    """A pipeline with all that it holds open. `versions` is for whoever feeds the index to keep."""

    pipeline: Pipeline
    index: Index
    versions: KnowledgeVersions
    cache: AnswerCache | None
    closers: list[Closer] = field(default_factory=list)

    async def aclose(self) -> None:
        """Close what was opened for it, the last opened first."""
        while self.closers:
            await self.closers.pop()()


def build_answerer(
    settings: Settings, environ: Mapping[str, str], observer: Observer, journal: Journal | None = None
) -> Answerer:
    """The pipeline that the settings describe; `environ` is where tools' header values come from.

    Blocks while a saved index is loaded: call it before anything is served.

    Raises:
        SettingsError: a tool or a component in the settings will not do.
        OperatorError: the index cannot be opened.
    """
    closers: list[Closer] = []
    index = _open_index(settings, closers)
    versions = KnowledgeVersions()
    try:
        resources = _resources(settings, environ, index, closers, journal or NoJournal())
        cache = build_cache(settings, resources, versions)
        if cache is not None:
            closers.append(cache.aclose)
        pipeline = Pipeline(_graph(settings, resources), observer, cache)
    except (ToolConfigError, LoadingError, GraphError) as error:
        raise SettingsError(str(error)) from error
    return Answerer(pipeline, index, versions, cache, closers)


def _open_index(settings: Settings, closers: list[Closer]) -> Index:
    knowledge, embeddings = settings.knowledge, None
    if settings.embeddings.base_url:
        chosen = settings.embeddings
        pool = _pool("embeddings", closers, {endpoint(chosen.base_url)})
        embeddings = OpenAIEmbeddings(pool, chosen.base_url, chosen.name, chosen.api_key)
    index: Index
    if knowledge.qdrant_url:
        # Imported only where a server is used: its client costs 68 MB and a second.
        from agents.knowledge.server import ServerIndex  # noqa: PLC0415

        index = ServerIndex(
            knowledge.qdrant_url,
            knowledge.collection,
            api_key=knowledge.qdrant_api_key,
            embeddings=embeddings,
        )
    else:
        from agents.knowledge.embedded import EmbeddedIndex  # noqa: PLC0415 - likewise, 4 MB

        try:
            index = EmbeddedIndex.open(knowledge.path, embeddings)
        except (OSError, DependencyError) as error:
            where = knowledge.path or "a temporary directory"
            raise OperatorError(
                f"the index cannot be opened in {where}: {error}; name another in KOTAE_KNOWLEDGE__PATH"
            ) from error
    closers.append(index.aclose)
    return index


def _resources(
    settings: Settings, environ: Mapping[str, str], index: Index, closers: list[Closer], journal: Journal
) -> Resources:
    """The components, the settings' own in place of the defaults."""
    http = _pool("http", closers, parse_allowed(settings.egress.allow)).client
    model = _model(settings, closers)
    timeout_s = settings.limits.tool_s
    registry = ToolRegistry(
        [
            *table_tools(settings.tools, environ=environ, http=http, default_timeout_s=timeout_s),
            *python_tools(http=http, default_timeout_s=timeout_s),
        ]
    )
    closers.append(registry.aclose)
    defaults = Resources(
        http=http,
        retriever=IndexRetriever(index, settings.knowledge.top_k),
        planner=model or NoPlanner(),
        tool_executor=RegistryExecutor(registry),
        generator=model or ExtractiveGenerator(),
        journal=journal,
    )
    own: dict[str, Any] = {
        name: make_component(getattr(settings.components, name), protocol, defaults)
        for name, protocol in _PROTOCOLS.items()
        if getattr(settings.components, name)
    }
    return replace(defaults, **own)


_PROTOCOLS: dict[str, type[Any]] = {
    "retriever": Retriever,
    "planner": Planner,
    "tool_executor": ToolExecutor,
    "generator": Generator,
}


def _graph(settings: Settings, resources: Resources) -> Graph:
    reference = settings.components.graph
    if reference:
        graph = load_component(reference)(resources)
        if not isinstance(graph, Graph):
            raise LoadingError(f"{reference}: gave a {type(graph).__name__}, not an agents.graph.Graph")
        return graph
    limits = settings.limits
    return default_graph(
        Components(resources.retriever, resources.planner, resources.tool_executor, resources.generator),
        Budgets(limits.retrieve_s, limits.plan_s, limits.tool_s, limits.tool_concurrency),
        resources.journal,
    )


def _model(settings: Settings, closers: list[Closer]) -> OpenAIModel | None:
    model = settings.model
    if not model.base_url:
        return None
    return OpenAIModel(
        _pool("model", closers, {endpoint(model.base_url)}),
        model.base_url,
        model.name,
        model.api_key,
        max_tokens=model.max_tokens,
        temperature=model.temperature,
    )


def _pool(dependency: str, closers: list[Closer], allowed: Collection[Endpoint]) -> HttpPool:
    pool = HttpPool(dependency, allowed=allowed)
    closers.append(pool.aclose)
    return pool
