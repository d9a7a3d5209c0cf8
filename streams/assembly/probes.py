"""One try of each dependency that the settings name, with the classes that a worker calls it with."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from agents.components import Call, Grounding, ToolSpec
from agents.errors import UnfitOutputError
from agents.http.egress import endpoint, parse_allowed
from agents.http.pool import HttpPool
from agents.knowledge.index import DEPENDENCY as INDEX
from agents.models.openai import OpenAIModel
from agents.tools.http_tool import HttpTool
from agents.tools.python_tool import python_tools
from agents.tools.registry import ToolRegistry
from agents.tools.table import table_tools
from agents.tools.tool import ToolConfigError
from schemas.question import Question
from streams.assembly.cache import open_shared
from streams.assembly.embeddings import load_encoder, server_embeddings
from streams.assembly.model import model_servers
from streams.assembly.stores import Inspection, VectorStore
from streams.assembly.trust import build_trust
from streams.settings.errors import SettingsError
from streams.settings.model import Settings

Probe = Callable[[], Awaitable[str]]

MAX_TOKENS = 64
"""The longest answer that a probe asks a model for."""
_QUESTION = Question(id="kotae-check", text="Reply with the single word: yes")
_ABOUT_TIME = Question(id=_QUESTION.id, text="What time is it in Kyoto?")
_TOOL = ToolSpec(
    name="current_time",
    description="Tells the current time of a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    timeout_s=1.0,
    idempotent=True,
)


class Probes:
    """Makes the probes; each returns a line about its findings, or raises.

    Attributes:
        store: the vector store that the settings select.
        has_tools: whether a model is ever offered a tool.
        vector_length: how long the embeddings' vectors are, once they were tried; None: not known.
        index_vector_length: how long the index's are, likewise.

    Raises:
        SettingsError: a tool or a certificate in the settings cannot be used.
    """

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], store: VectorStore, limit_s: float
    ) -> None:
        self.store = store
        self.vector_length: int | None = None
        self.index_vector_length: int | None = None
        self._settings = settings
        self._limit_s = limit_s
        self._tls = build_trust(settings.egress.ca_file)
        self._closers: list[Callable[[], Awaitable[None]]] = []
        http = HttpPool("http", allowed=parse_allowed(settings.egress.allow), tls=self._tls)
        self._closers.append(http.aclose)
        timeout_s = settings.limits.tool_s
        try:
            self._registry = ToolRegistry(
                [
                    *table_tools(
                        settings.tools,
                        environ=environ,
                        http=http.client,
                        default_timeout_s=timeout_s,
                        tls=self._tls,
                    ),
                    *python_tools(http=http.client, default_timeout_s=timeout_s),
                ]
            )
        except ToolConfigError as error:
            raise SettingsError(str(error)) from error
        self._closers.append(self._registry.aclose)
        self._models = model_servers(settings.model, environ, self._pool, max_tokens=MAX_TOKENS)
        self.has_tools = bool(self._registry.tools) or bool(settings.components.tool_executor)

    async def aclose(self) -> None:
        """Close everything that was opened."""
        while self._closers:
            await self._closers.pop()()

    def chats(self) -> list[tuple[str, Probe]]:
        """Return by dependency: one short answer of each model."""

        def probe(model: OpenAIModel) -> Probe:
            async def answer() -> str:
                began = time.monotonic()
                try:
                    await model.agenerate(Grounding(_QUESTION), self._call("generate"))
                except UnfitOutputError as error:
                    return f"{model.name} answers, but not in so few tokens: {error.message}"
                return f"{model.name} answers, in {time.monotonic() - began:.1f} s"

            return answer

        return [(dependency, probe(model)) for dependency, model in self._models]

    def plans(self) -> list[tuple[str, Probe]]:
        """Return by dependency: one plan of each model, with a tool that is never run."""

        def probe(model: OpenAIModel) -> Probe:
            async def plan() -> str:
                try:
                    await model.aplan(_ABOUT_TIME, [_TOOL], self._call("plan"))
                except UnfitOutputError as error:
                    return f"{model.name} takes tools: {error.message}"
                return f"{model.name} takes tools"

            return plan

        return [(dependency, probe(model)) for dependency, model in self._models]

    def knowledge(self) -> list[tuple[str, Probe]]:
        """Return the embeddings' and the index's."""
        found: list[tuple[str, Probe]] = []
        chosen, inspect = self._settings.embeddings, self.store.inspect
        if chosen.base_url:
            embeddings = server_embeddings(chosen, self._pool("embeddings", chosen.base_url))

            async def embed() -> str:
                (vector,) = await embeddings.aembed([_QUESTION.text])
                self.vector_length = len(vector)
                return f"{chosen.name} makes vectors of {len(vector)} numbers"

            found.append(("embeddings", embed))
        if chosen.local:

            async def compute() -> str:
                began = time.monotonic()
                encoder = await asyncio.to_thread(load_encoder, chosen)
                took = time.monotonic() - began
                (vector,) = await asyncio.to_thread(encoder.encode, [_QUESTION.text], search=True)
                self.vector_length = len(vector)
                return f"{chosen.local} makes vectors of {len(vector)} numbers, after {took:.1f} s to load"

            found.append(("embeddings", compute))
        if inspect is not None:
            knowledge = self._settings.knowledge
            pool = self._pool(INDEX, knowledge.qdrant_url)

            async def look() -> str:
                seen = await inspect(Inspection(knowledge, pool, bool(chosen.base_url or chosen.local)))
                self.index_vector_length = seen.vector_length
                return seen.told

            found.append(("index", look))
        return found

    def redis(self) -> list[Probe]:
        """Return Redis's, if there is one."""
        cache = self._settings.cache
        if not cache.redis_url or not cache.ttl_s:
            return []

        async def look_up() -> str:
            store = open_shared(cache.redis_url, self._settings.egress.ca_file, self._limit_s)
            try:
                await store.aprobe()
            finally:
                await store.aclose()
            return "answers"

        return [look_up]

    def tools(self) -> list[tuple[str, Probe]]:
        """Return those of HTTP tools: a tool in Python has no server that is known."""
        return [
            (f"tools/{tool.spec.name}", tool.areach)
            for tool in self._registry.tools
            if isinstance(tool, HttpTool)
        ]

    def _call(self, stage: str) -> Call:
        return Call(_QUESTION.id, stage, asyncio.get_running_loop().time() + self._limit_s)

    def _pool(self, dependency: str, url: str) -> HttpPool:
        pool = HttpPool(dependency, allowed={endpoint(url)} if url else (), tls=self._tls)
        self._closers.append(pool.aclose)
        return pool
