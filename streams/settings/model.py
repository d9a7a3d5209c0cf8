"""Every setting, with its unit, default and reason. `settings_reader` fills them in."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

Seconds = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=0, le=65535)]
TopicName = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9._-]+$", max_length=249)]
TokenUrl = Annotated[str, Meta(extra={"url": "an address such as https://login.example.com/oauth2/token"})]
OpenAIUrl = Annotated[str, Meta(extra={"url": "an address such as http://127.0.0.1:8000/v1, or empty"})]
"""May hold a user and password, in place of the `api_key` beside it."""
StoreUrl = Annotated[
    str, Meta(extra={"url": "an address such as http://127.0.0.1:8000, or empty", "user": False})
]
"""A vector store's; holds no user: `NAME_url` has its key in `NAME_api_key`."""


class Kafka(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The cluster and the topics."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """`host:port` of a broker, or of several, comma-separated: by them the whole cluster is found."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How to talk to the brokers."""
    ssl_cafile: str = ""
    """The authority that signed the brokers' certificates, as a PEM file; empty: the system's. It is trusted
    for `oauth_token_url` too, besides the system's."""
    ssl_certfile: str = ""
    """This client's certificate, with its key in the same file or in `ssl_keyfile`; empty: none."""
    ssl_keyfile: str = ""
    """The key to `ssl_certfile`, as a PEM file; empty: it is in that file."""
    ssl_key_password: str = ""
    """Opens an encrypted key; empty: it is not encrypted."""
    allow_plaintext: bool = False
    """Whether `PLAINTEXT` and `SASL_PLAINTEXT` may leave this machine: anybody on the way reads them."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = "PLAIN"
    """How to log in, where `security_protocol` says SASL."""
    sasl_username: str = ""
    """The user to log in as."""
    sasl_password: str = ""
    """The password to log in with."""
    oauth_token_url: TokenUrl = ""
    """For OAUTHBEARER: an identity provider's token endpoint (OIDC, client credentials)."""
    oauth_client_id: str = ""
    """Who we are to the identity provider."""
    oauth_client_secret: str = ""
    """What proves it."""
    oauth_scope: str = ""
    """The scope to ask for; empty: none."""
    oauth_token_file: str = ""
    """For OAUTHBEARER, in place of `oauth_token_url`: a file that always holds a valid token."""
    oauth_extensions: tuple[Annotated[str, Meta(pattern=r"^[A-Za-z]+=.+$")], ...] = ()
    """`name=value` pairs for the broker, beside the token, such as Confluent Cloud's `logicalCluster=lkc`."""
    topic_prefix: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9._-]*$", max_length=100)] = ""
    """Put before the name of every topic as it stands, so that several services share a cluster."""
    reply_topics: tuple[TopicName, ...] = ()
    """Topics that `reply_to` may name; empty: none."""
    partitions: Count = 6
    """Partitions that `kotae topics create` gives the topics that are keyed by conversation."""
    session_timeout_s: Seconds = 10.0
    """A worker that is silent for this long is taken for dead."""


class Worker(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One worker process."""

    group_id: Annotated[str, Meta(min_length=1, max_length=200)] = "kotae"
    """The consumer group; workers of one group share the questions."""
    max_in_flight: Count = 1000
    """Questions being answered at once, where the event loop carries as many; the others wait in the log."""
    processes: Count = 1
    """Worker processes that `kotae worker` keeps running, each with its own event loop."""
    grace_s: Seconds = 30.0
    """What SIGTERM leaves running questions to finish."""
    http_port: Port = 9464
    """Where /metrics, /health/* and /state are served; 0 turns them off."""
    http_host: str = "127.0.0.1"
    """The address that they are served on; loopback alone by default, because `/state` tells a lot."""


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long things may take, in seconds, and how many at once."""

    deadline_s: Seconds = 30.0
    """The most that a question has from when work on it starts, and all that one without a deadline of its
    own has."""
    retrieve_s: Seconds = 3.0
    """Finding passages; then the answer goes without them."""
    plan_s: Seconds = 4.0
    """Deciding on tools; then none is called."""
    tool_s: Seconds = 8.0
    """All tools of a question together, and each one that names no `timeout_s` of its own."""
    tool_concurrency: Count = 10
    """Tools of one question that run at once."""
    tenant_share: Annotated[float, Meta(gt=0, le=1)] = 0.8
    """Of the questions that may run now (`kotae_in_flight_limit`), the most that one tenant may have while
    there are questions of others."""


class Model(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An OpenAI-compatible chat completions server."""

    base_url: OpenAIUrl = ""
    """With the version path, for instance `http://127.0.0.1:8000/v1`; empty: no model, extractive answers."""
    name: str = "default"
    """The model to ask for, as its server calls it."""
    api_key: str = ""
    """Sent as a bearer token; empty: none is sent."""
    max_tokens: Count = 1024
    """Longest answer, in the model's tokens."""
    temperature: Annotated[float, Meta(ge=0, le=2)] = 0.0
    """0 answers the same question in the same way."""
    max_concurrency: Count = 1000
    """Calls at once of one worker, at most; fewer while the server says that it is overloaded."""
    fallback_base_url: OpenAIUrl = ""
    """A second server, asked where the first one fails; empty: the answer is then made by extraction."""
    fallback_name: str = "default"
    """The model to ask the second server for."""
    fallback_api_key: str = ""
    """Sent to the second server as a bearer token; empty: none is sent."""


class Embeddings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An OpenAI-compatible embeddings server; without one, retrieval is BM25 alone."""

    base_url: OpenAIUrl = ""
    """With the version path; empty: no embeddings."""
    name: str = "default"
    """The model to ask for, as its server calls it."""
    api_key: str = ""
    """Sent as a bearer token; empty: none is sent."""


class Knowledge(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where documents are indexed and how many passages are read."""

    qdrant_url: StoreUrl = ""
    """A Qdrant server; empty: the embedded engine."""
    qdrant_api_key: str = ""
    """Sent to the Qdrant server; empty: none is sent."""
    collection: str = "kotae"
    """The collection on the Qdrant server; made if it is not there."""
    path: str = ""
    """Directory of the embedded index; empty: a temporary one, rebuilt from `documents` at every start."""
    top_k: Count = 5
    """Passages that an answer may rest on."""


class Cache(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answers that are given again while nothing that they rest on has changed."""

    redis_url: str = ""
    """`redis://host:6379/0`, or `rediss://` for TLS: workers share answers there; empty: each has its own."""
    ttl_s: Annotated[float, Meta(ge=0, le=36_000)] = 3600.0
    """How long an answer is kept, and what a search in a server found; 0: none is. At most 36,000: after a
    day, Kafka may forget a deletion."""
    max_bytes: Annotated[int, Meta(ge=65_536)] = 67_108_864
    """What a worker process keeps of them in its memory, in bytes."""
    own_components: bool = False
    """Keep answers too that parts of one's own (`components`) had a hand in: only they know what else
    than the question and `documents` these rest on."""


class Egress(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where requests may go, and whose certificates are trusted there.

    The addresses of models, indexes and HTTP tools need not be allowed: those settings say it already.
    """

    allow: tuple[str, ...] = ()
    """For Python tools and components: `host:port` of servers that are not public and may be called all the
    same; public ones always may."""
    ca_file: str = ""
    """A PEM file of authorities to trust besides the system's, for https to models, embeddings, Qdrant and
    tools, and for Redis over TLS; empty: the system's alone. For Kafka and its `OAUTH_TOKEN_URL`, see
    `KAFKA.SSL_CAFILE`."""


class Resilience(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What guards the calls to model, tools and servers; turned off to see what it costs."""

    breakers: bool = True
    """Leave a dependency alone for a while that fails half of its calls."""
    retries: bool = True
    """Repeat what may pass, within a budget; without it nothing is hedged either."""
    hedging: bool = True
    """A second request for a search or GET tool that takes longer than 95 % of those before it."""
    adaptive_concurrency: bool = True
    """Fewer calls at once to a model that is overloaded."""


class Components(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parts of one's own: `module:factory`, or a name of the entry-point group `kotae.components`.

    A factory is called with `agents.loading.Resources` and returns the component.
    """

    retriever: str = ""
    """Finds passages; empty: the index that `knowledge` names."""
    planner: str = ""
    """Decides which tools to call; empty: the model."""
    tool_executor: str = ""
    """Knows the tools and runs them; empty: those of `[tools]` and of the entry points."""
    generator: str = ""
    """Writes the answer; empty: the model, or extraction where there is none."""
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
    cache: Cache = field(default_factory=Cache)
    egress: Egress = field(default_factory=Egress)
    resilience: Resilience = field(default_factory=Resilience)
    components: Components = field(default_factory=Components)
    tools: dict[str, dict[str, Any]] = field(default_factory=dict)
