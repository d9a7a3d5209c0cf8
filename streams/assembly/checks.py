"""The checks of `kotae check`: every dependency in the settings is tried once, all of them side by side.

A check changes nothing: it writes no record, makes no collection and calls no tool.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from agents.errors import DependencyError, TimedOutError
from schemas.topics import Topics
from streams.assembly.probes import Probes
from streams.assembly.remedies import remedy_for
from streams.assembly.stores import STORES, VectorStore, choose_store
from streams.kafka.authorization import worker_rights
from streams.kafka.topics import Cluster, alook_at_cluster, not_allowed, topics_problem
from streams.settings.errors import OperatorError
from streams.settings.model import Settings
from streams.settings.secrets import masker, secrets_of

KAFKA, RIGHTS, TOPICS, REPLY_TOPICS = "kafka", "kafka rights", "topics", "reply topics"
MODEL_TOOLS = " tools"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check: one line that says how it is, or why it fails and the remedy.

    A dependency that fails at something that no question needs is `ok`, and the line says so.
    """

    name: str
    ok: bool
    told: str


class Checks:
    """Tries everything that the settings name.

    Args:
        limit_s: how long each may take.
        stores: the registry of vector stores.

    Raises:
        SettingsError: a tool or a certificate in the settings cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        limit_s: float,
        stores: Sequence[VectorStore] = STORES,
    ) -> None:
        self._settings = settings
        self._limit_s = limit_s
        self._probes = Probes(settings, environ, choose_store(settings.knowledge, stores), limit_s)
        self._mask = masker(secrets_of(settings, environ))

    async def arun(self) -> list[Finding]:
        """Return the findings in a fixed order, without secrets. May be called once."""
        try:
            groups = await asyncio.gather(self._kafka(), self._servers())
        finally:
            await self._probes.aclose()
        return [
            replace(finding, told=" ".join(self._mask(finding.told).split()))
            for group in groups
            for finding in group
        ]

    async def _kafka(self) -> list[Finding]:
        kafka = self._settings.kafka
        rights = worker_rights(self._settings, self._probes.store.group(self._settings.worker.group_id))
        try:
            async with asyncio.timeout(self._limit_s):
                cluster = await alook_at_cluster(kafka, rights)
        except OperatorError as error:
            return [Finding(KAFKA, False, str(error))]
        except TimeoutError:
            told = (
                f"no answer from {kafka.bootstrap_servers} within {self._limit_s:g} s: check "
                "KOTAE_KAFKA__BOOTSTRAP_SERVERS, and that all brokers can be reached from here"
            )
            return [Finding(KAFKA, False, told)]
        brokers = f"{kafka.bootstrap_servers}, brokers: {cluster.brokers}"
        return [Finding(KAFKA, True, brokers), *self._on_cluster(cluster)]

    def _on_cluster(self, cluster: Cluster) -> list[Finding]:
        kafka = self._settings.kafka
        topics = Topics(kafka.topic_prefix)
        lacking = cluster.missing_rights
        told = not_allowed(kafka, lacking) if lacking else "all that a worker needs"
        findings = [Finding(RIGHTS, not lacking, told)]
        # A topic that we may not see looks as if it were missing.
        hidden = {right.name for right in lacking if right.name not in cluster.partitions}
        problem = topics_problem(kafka, cluster.partitions, sorted(topics.own - topics.optional - hidden))
        partitions = cluster.partitions.get(topics.questions)
        told = f"all there; {topics.questions} has partitions: {partitions}" if partitions else "not seen"
        # A worker has no right to see `feedback`.
        unseen = {*hidden, topics.feedback}
        if missing := sorted(topics.optional - unseen - cluster.partitions.keys()):
            told += f"; {', '.join(missing)} can be added with 'kotae topics create'"
        findings.append(Finding(TOPICS, not problem, problem or told))
        if kafka.reply_topics:
            missing = [name for name in kafka.reply_topics if name not in {*cluster.partitions, *hidden}]
            told = (
                f"the cluster lacks {', '.join(missing)}: create them, or take them out of "
                "KOTAE_KAFKA__REPLY_TOPICS"
            )
            findings.append(Finding(REPLY_TOPICS, not missing, told if missing else "all there"))
        return findings

    async def _servers(self) -> list[Finding]:
        probes = self._probes
        tries = [
            trying
            for (name, chat), (_, plan) in zip(probes.chats(), probes.plans(), strict=True)
            for trying in (self._try(_spaced(name), name, chat), self._plan(name, plan))
        ]
        after = [
            *(self._try("redis", "redis", probe) for probe in probes.redis()),
            *(self._try(name, name, probe) for name, probe in probes.tools()),
        ]
        first, found, last = await asyncio.gather(
            asyncio.gather(*tries), self._knowledge(), asyncio.gather(*after)
        )
        return [*first, *found, *last]

    async def _plan(self, name: str, probe: Callable[[], Awaitable[str]]) -> Finding:
        finding = await self._try(f"{_spaced(name)}{MODEL_TOOLS}", name, probe)
        if finding.ok or self._probes.has_tools:
            return finding
        return replace(finding, ok=True, told=f"not needed without a tool, but it fails: {finding.told}")

    async def _knowledge(self) -> list[Finding]:
        probes = self._probes
        tries = [self._try(name, name, probe) for name, probe in probes.knowledge()]
        findings = await asyncio.gather(*tries)
        made, kept = probes.vector_length, probes.index_vector_length
        if made is None or kept is None or made == kept:
            return list(findings)
        told = (
            f"the index has vectors of {kept} numbers, but the embeddings have {made}: a worker would make "
            "all of them anew; else check KOTAE_EMBEDDINGS__NAME, or name another collection in "
            "KOTAE_KNOWLEDGE__COLLECTION"
        )
        return [Finding(one.name, False, told) if one.name == "index" else one for one in findings]

    async def _try(self, name: str, dependency: str, probe: Callable[[], Awaitable[str]]) -> Finding:
        try:
            async with asyncio.timeout(self._limit_s):
                return Finding(name, True, await probe())
        except TimeoutError:
            error: DependencyError = TimedOutError(dependency, f"no answer within {self._limit_s:g} s")
        except OperatorError as problem:
            return Finding(name, False, str(problem))
        except DependencyError as failure:
            error = failure
        remedy = remedy_for("knowledge" if dependency == "index" else dependency, error)
        return Finding(name, False, f"{error.message}; {remedy}")


def _spaced(dependency: str) -> str:
    return dependency.replace("_", " ")
