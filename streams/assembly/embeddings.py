"""The embeddings that the settings describe: a server, or a model in the process."""

import logging
import sqlite3
import ssl
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agents.embeddings.comparing import Comparer
from agents.embeddings.encoder import Encoder, UnfitModelError
from agents.embeddings.protocol import DEPENDENCY, Embeddings, Prefixes
from agents.embeddings.server import OpenAIEmbeddings
from agents.http.egress import endpoint
from agents.http.pool import HttpPool
from agents.knowledge.fusion import ALIKE, Fusion
from agents.resilience.guarded import GuardedEmbeddings
from streams.assembly.guards import Guards
from streams.settings.errors import OperatorError, SettingsError
from streams.settings.model import BUILTIN, Settings
from streams.settings.model import Embeddings as EmbeddingSettings

if TYPE_CHECKING:
    from agents.embeddings.local import LocalEmbeddings

log = logging.getLogger(__name__)

KEPT = "vectors.sqlite"
"""The name of the file in KNOWLEDGE.PATH with vectors that all processes share."""

SHARE = 0.5
"""The share of retrieval's time that a search waits for its vector, before it goes on with words alone."""

SWITCH_S = 0.001
"""How long a thread may keep the interpreter's lock while another waits for it. The model's tokenizer holds
it, and Python's 5 ms would be the event loop's longest wait."""

Closers = list[Callable[[], Awaitable[None]]]


@dataclass(frozen=True, slots=True)
class BuiltEmbeddings:
    """The embeddings of the index, and the comparison of a question with the words of its passages.

    Attributes:
        embeddings: None: the settings name none.
        comparer: None: no model in the process compares words.
        state: returns their part of `/state`.
    """

    embeddings: Embeddings | None
    comparer: Comparer | None
    state: Callable[[], dict[str, object] | None]


def build_embeddings(
    settings: Settings, guards: Guards, closers: Closers, tls: ssl.SSLContext | None
) -> BuiltEmbeddings:
    """Make the embeddings. A model in the process is loaded: that blocks.

    Raises:
        SettingsError: the model in the process cannot be used.
        OperatorError: its vectors cannot be kept where the settings say.
    """
    chosen = settings.embeddings
    search_s = settings.limits.retrieve_s * SHARE
    if chosen.local:
        # Only where a model is used: numpy and its package cost 140 MB.
        from agents.embeddings.local import LocalEmbeddings  # noqa: PLC0415

        sys.setswitchinterval(SWITCH_S)
        local = LocalEmbeddings(load_encoder(chosen), search_s)
        closers.append(local.aclose)
        return _shared(settings, local, closers)
    if not chosen.base_url:
        return BuiltEmbeddings(None, None, lambda: None)
    pool = HttpPool(DEPENDENCY, allowed={endpoint(chosen.base_url)}, tls=tls)
    closers.append(pool.aclose)
    server = server_embeddings(chosen, pool)
    guarded = GuardedEmbeddings(server, guards.search(DEPENDENCY), search_s)
    return BuiltEmbeddings(guarded, None, lambda: {"model": server.model})


def _shared(settings: Settings, local: "LocalEmbeddings", closers: Closers) -> BuiltEmbeddings:
    """Keep the vectors where the processes of this machine keep their indexes, if they keep these."""
    comparer = local.comparer
    path = settings.knowledge.path
    if not path:
        if settings.worker.processes > 1 and not settings.knowledge.qdrant_url:
            log.info("each process embeds every document: KOTAE_KNOWLEDGE__PATH would let them share vectors")
        return BuiltEmbeddings(local, comparer, local.state)
    from agents.embeddings.kept import KeptVectors  # noqa: PLC0415 - only where vectors are kept
    from agents.embeddings.sharing import SharedEmbeddings  # noqa: PLC0415 - likewise

    try:
        shared = SharedEmbeddings(local, KeptVectors(Path(path) / KEPT))
    except (OSError, sqlite3.Error) as error:
        raise OperatorError(
            f"vectors cannot be kept in {path}: {error}; name another directory in KOTAE_KNOWLEDGE__PATH"
        ) from error
    closers.append(shared.aclose)
    return BuiltEmbeddings(shared, comparer, lambda: local.state() | {"found": shared.found})


def server_embeddings(chosen: EmbeddingSettings, pool: HttpPool) -> OpenAIEmbeddings:
    """Return the embeddings of the server that the settings name."""
    prefixes = Prefixes(chosen.query_prefix, chosen.passage_prefix)
    return OpenAIEmbeddings(pool, chosen.base_url, chosen.name, chosen.api_key, prefixes)


def load_encoder(chosen: EmbeddingSettings) -> Encoder:
    """Load the model in the process.

    Raises:
        SettingsError: it is not installed, or the directory does not hold one.
    """
    try:
        if chosen.local == BUILTIN:
            from agents.embeddings.builtin import BuiltinEncoder  # noqa: PLC0415 - only where it is used

            return BuiltinEncoder()
        from agents.embeddings.onnx import OnnxEncoder  # noqa: PLC0415 - likewise

        return OnnxEncoder(
            Path(chosen.local),
            pooling=chosen.pooling,
            prefixes=Prefixes(chosen.query_prefix, chosen.passage_prefix),
            max_tokens=chosen.max_tokens,
        )
    except UnfitModelError as error:
        raise SettingsError(f"embeddings.local: {error}") from error


def build_fusion(settings: Settings) -> Fusion:
    """Return how searches by words and by meaning become one ranking."""
    chosen, weight = settings.embeddings, settings.knowledge.dense_weight
    if chosen.local == BUILTIN:
        from agents.embeddings.builtin import FLOOR, UNRELATED, WEIGHT  # noqa: PLC0415 - only where it is used

        return Fusion(
            WEIGHT if weight is None else weight, FLOOR if chosen.floor is None else chosen.floor, UNRELATED
        )
    return Fusion(ALIKE.weight if weight is None else weight, -1.0 if chosen.floor is None else chosen.floor)
