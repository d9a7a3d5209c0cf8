"""The pipeline that the settings describe, with all that it holds open."""

import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agents.components import Generator, Planner, Retriever, ToolExecutor
from agents.graph import Graph, GraphError
from agents.http.egress import Endpoint, endpoint, parse_allowed
from agents.http.pool import HttpPool
from agents.journal import Journal, NoJournal
from agents.knowledge.dated import DatedRetriever
from agents.knowledge.index import DEPENDENCY as INDEX
from agents.knowledge.index import Index
from agents.knowledge.retriever import IndexRetriever
from agents.knowledge.version import KnowledgeVersions
from agents.loading import LoadingError, Resources, load_component, make_component
from agents.models.extractive import Extractor
from agents.pipeline import Budgets, Components, Pipeline, default_graph
from agents.resilience.guarded import (
    GuardedGenerator,
    GuardedPlanner,
    GuardedRetriever,
)
from agents.run import Observer
from agents.tools.executor import RegistryExecutor
from agents.tools.python_tool import python_tools
from agents.tools.registry import ToolRegistry
from agents.tools.table import table_tools
from agents.tools.tool import ToolConfigError
from streams.assembly.cache import Caches
from streams.assembly.embeddings import BuiltEmbeddings, build_embeddings, build_fusion
from streams.assembly.guards import Guards
from streams.assembly.model import build_model
from streams.assembly.stores import STORES, StoreParts, VectorStore, choose_store
from streams.assembly.trust import build_trust
from streams.settings.errors import SettingsError
from streams.settings.model import Settings

Closer = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Answerer:
    """A pipeline with all that it holds open. The feed of `index` keeps `versions` up to date."""

    pipeline: Pipeline
    store: VectorStore
    index: Index
    embeddings: BuiltEmbeddings
    guards: Guards
    versions: KnowledgeVersions
    caches: Caches
    closers: list[Closer] = field(default_factory=list)

    async def aclose(self) -> None:
        """Close everything that was opened for it, the last opened first."""
        while self.closers:
            await self.closers.pop()()


def build_answerer(
    settings: Settings,
    environ: Mapping[str, str],
    observer: Observer,
    journal: Journal | None = None,
    stores: Sequence[VectorStore] = STORES,
) -> Answerer:
    """Build the pipeline that the settings describe; tools' header values come from `environ`.

    Blocks while a saved index is loaded: call it before anything is served.

    Raises:
        SettingsError: a tool, a component or a model in the settings will not do.
        OperatorError: the index cannot be opened.
    """
    closers: list[Closer] = []
    guards = Guards(settings.resilience, observer)
    tls = build_trust(settings.egress.ca_file)
    store = choose_store(settings.knowledge, stores)
    built = build_embeddings(settings, guards, closers, tls)
    index = store.open(StoreParts(settings.knowledge, built.embeddings, tls, build_fusion(settings)))
    closers.append(index.aclose)
    extractor = Extractor(built.comparer)
    versions = KnowledgeVersions()
    caches = Caches(settings, store, index, versions)
    try:
        resources = _resources(
            settings,
            environ,
            DatedRetriever(
                caches.keep_searches(_retriever(settings, store, index, guards)),
                versions,
                shared=store.shared,
            ),
            closers,
            tls=tls,
            guards=guards,
            journal=journal or NoJournal(),
            extractor=extractor,
        )
        cache = caches.keep_answers(resources)
        if cache is not None:
            closers.append(cache.aclose)
        pipeline = Pipeline(_graph(settings, resources, extractor), observer, cache, built.comparer)
    except ToolConfigError as error:
        raise SettingsError(str(error)) from error
    except (LoadingError, GraphError) as error:
        raise SettingsError(f"[components] {error}") from error
    return Answerer(pipeline, store, index, built, guards, versions, caches, closers)


def _retriever(settings: Settings, store: VectorStore, index: Index, guards: Guards) -> Retriever:
    retriever = IndexRetriever(index, settings.knowledge.top_k)
    # An index in this process is no dependency.
    return GuardedRetriever(retriever, guards.search(INDEX)) if store.remote else retriever


def _resources(
    settings: Settings,
    environ: Mapping[str, str],
    retriever: Retriever,
    closers: list[Closer],
    *,
    tls: ssl.SSLContext | None,
    guards: Guards,
    journal: Journal,
    extractor: Extractor,
) -> Resources:
    """The components, the settings' own in place of the defaults, each behind its guard."""
    http = _pool("http", closers, parse_allowed(settings.egress.allow), tls).client
    model = build_model(
        settings.model,
        environ,
        guards,
        lambda name, base_url: _pool(name, closers, {endpoint(base_url)}, tls),
        extractor,
    )
    timeout_s = settings.limits.tool_s
    registry = ToolRegistry(
        [
            *table_tools(settings.tools, environ=environ, http=http, default_timeout_s=timeout_s, tls=tls),
            *python_tools(http=http, default_timeout_s=timeout_s),
        ]
    )
    closers.append(registry.aclose)
    tool_guards = {tool.spec.name: guards.tool(tool) for tool in registry.tools}
    defaults = Resources(
        http=http,
        retriever=retriever,
        planner=model.planner,
        tool_executor=RegistryExecutor(registry, guards=tool_guards),
        generator=model.generator,
        rewriter=model.rewriter,
        journal=journal,
    )
    return replace(defaults, **_own(settings, guards, defaults))


def _own(settings: Settings, guards: Guards, defaults: Resources) -> dict[str, Any]:
    """The components that the settings name, guarded like those that they replace."""
    chosen = settings.components
    most = settings.model.max_concurrency
    if settings.components != Settings().components:
        # Now, because a component asks for its client where the loop runs, which the import would hold up.
        import agents.http.client  # noqa: F401, PLC0415 - 0.2 s that only components of one's own may need
    own: dict[str, Any] = {}
    if chosen.retriever:
        made = make_component(chosen.retriever, Retriever, defaults)
        own["retriever"] = GuardedRetriever(made, guards.search("retriever"))
    if chosen.planner:
        made = make_component(chosen.planner, Planner, defaults)
        own["planner"] = GuardedPlanner(made, guards.model("planner", most))
    if chosen.tool_executor:
        # It runs its tools itself, and tells of failures in its results: there is nothing to repeat.
        own["tool_executor"] = make_component(chosen.tool_executor, ToolExecutor, defaults)
    if chosen.generator:
        made = make_component(chosen.generator, Generator, defaults)
        own["generator"] = GuardedGenerator(made, guards.model("generator", most))
    return own


def _graph(settings: Settings, resources: Resources, extractor: Extractor) -> Graph:
    reference = settings.components.graph
    if reference:
        graph = load_component(reference)(resources)
        if not isinstance(graph, Graph):
            raise LoadingError(
                f"{reference}: returned a {type(graph).__name__}; it must return an agents.graph.Graph"
            )
        return graph
    limits = settings.limits
    return default_graph(
        Components(
            resources.retriever,
            resources.planner,
            resources.tool_executor,
            resources.generator,
            resources.rewriter,
            extractor,
        ),
        Budgets(limits.retrieve_s, limits.plan_s, limits.tool_s, limits.tool_concurrency, limits.rewrite_s),
        resources.journal,
    )


def _pool(
    dependency: str, closers: list[Closer], allowed: Collection[Endpoint], tls: ssl.SSLContext | None
) -> HttpPool:
    pool = HttpPool(dependency, allowed=allowed, tls=tls)
    closers.append(pool.aclose)
    return pool
