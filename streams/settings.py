"""Every setting, with its unit, default and reason; the only module that reads the environment or TOML."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

Seconds = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=0, le=65535)]


class Kafka(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The cluster and the topics."""

    bootstrap_servers: str = "127.0.0.1:9092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    topic_prefix: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9._-]*$", max_length=100)] = ""
    reply_topics: tuple[str, ...] = ()
    """Topics that `reply_to` may name; empty: none."""
    partitions: Count = 6
    """Partitions that `kotae topics create` gives the topics that are keyed by conversation."""
    session_timeout_s: Seconds = 10.0
    """A worker that is silent for this long is taken for dead."""


class Worker(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One worker process."""

    group_id: Annotated[str, Meta(min_length=1, max_length=200)] = "kotae"
    max_in_flight: Count = 1000
    """Questions being answered at once; the others wait in the log."""
    processes: Count = 1
    grace_s: Seconds = 30.0
    """What SIGTERM leaves running questions to finish."""
    http_port: Port = 9464
    """Where /metrics, /health/* and /state are served; 0 turns them off."""
    http_host: str = "127.0.0.1"


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long things may take, in seconds, and how many at once."""

    deadline_s: Seconds = 30.0
    retrieve_s: Seconds = 3.0
    plan_s: Seconds = 4.0
    tool_s: Seconds = 8.0
    """All tools of a question together, and each one that names no `timeout_s` of its own."""
    tool_concurrency: Count = 10


class Model(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An OpenAI-compatible chat completions server."""

    base_url: str = ""
    """With the version path, for instance `http://127.0.0.1:8000/v1`; empty: no model, extractive answers."""
    name: str = "default"
    api_key: str = ""
    max_tokens: Count = 1024
    temperature: Annotated[float, Meta(ge=0, le=2)] = 0.0


class Embeddings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An OpenAI-compatible embeddings server; without one, retrieval is BM25 alone."""

    base_url: str = ""
    name: str = "default"
    api_key: str = ""


class Knowledge(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where documents are indexed and how many passages are read."""

    qdrant_url: str = ""
    """A Qdrant server; empty: the embedded engine."""
    qdrant_api_key: str = ""
    collection: str = "kotae"
    path: str = ""
    """Directory of the embedded index; empty: a temporary one, rebuilt from `documents` at every start."""
    top_k: Count = 5


class Components(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parts of one's own: `module:factory`, or a name of the entry-point group `kotae.components`.

    A factory is called with `agents.loading.Resources` and returns the component.
    """

    retriever: str = ""
    planner: str = ""
    tool_executor: str = ""
    generator: str = ""
    graph: str = ""
    """Replaces the whole stage graph."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of them; `tools` is the raw TOML table `[tools.NAME]`, checked by `agents.tools`."""

    kafka: Kafka = field(default_factory=Kafka)
    worker: Worker = field(default_factory=Worker)
    limits: Limits = field(default_factory=Limits)
    model: Model = field(default_factory=Model)
    embeddings: Embeddings = field(default_factory=Embeddings)
    knowledge: Knowledge = field(default_factory=Knowledge)
    components: Components = field(default_factory=Components)
    tools: dict[str, dict[str, Any]] = field(default_factory=dict)
