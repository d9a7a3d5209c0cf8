"""Every setting, with its unit, default and reason. `streams.settings.reader` reads the values."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from agents.http.addresses import Env

Seconds = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=0, le=65535)]
TopicName = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9._-]+$", max_length=249)]
TokenUrl = Annotated[str, Meta(extra={"url": "an address such as https://login.example.com/oauth2/token"})]
OpenAIUrl = Annotated[str, Meta(extra={"url": "an address such as http://127.0.0.1:8000/v1, or empty"})]
"""An address that may hold a user and password instead of the `api_key` beside it."""
StoreUrl = Annotated[
    str, Meta(extra={"url": "an address such as http://127.0.0.1:8000, or empty", "user": False})
]
"""The address of a vector store; it holds no user: the key to `NAME_url` is `NAME_api_key`."""


Parameters = Annotated[dict[str, Any], Meta(extra={"json": "a JSON object of request parameters"})]
Headers = Annotated[
    dict[str, str | Env],
    Meta(extra={"json": 'a JSON object of headers, each with text or with {"env": "NAME"}'}),
]


class Kafka(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The cluster and the topics."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """`host:port` of one or several brokers, comma-separated; the client finds the rest of the cluster."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Encryption and login of the connections to the brokers."""
    ssl_cafile: str = ""
    """PEM file of the authority that signed the brokers' certificates; empty: the system's authorities. For
    `oauth_token_url` it is trusted in addition to the system's."""
    ssl_certfile: str = ""
    """PEM file of this client's certificate, whose key is in the same file or in `ssl_keyfile`; empty: no
    certificate."""
    ssl_keyfile: str = ""
    """PEM file of the key to `ssl_certfile`; empty: the key is in that file."""
    ssl_key_password: str = ""
    """Password of an encrypted key; empty: the key is not encrypted."""
    allow_plaintext: bool = False
    """Allow `PLAINTEXT` and `SASL_PLAINTEXT` to brokers on other machines: anybody on the network can read
    such connections."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = "PLAIN"
    """How to log in, if `security_protocol` is one of the SASL ones."""
    sasl_username: str = ""
    """The user to log in as."""
    sasl_password: str = ""
    """The password to log in with."""
    oauth_token_url: TokenUrl = ""
    """For OAUTHBEARER: the token endpoint of an identity provider (OIDC, client credentials)."""
    oauth_client_id: str = ""
    """The client id to send to the identity provider."""
    oauth_client_secret: str = ""
    """The client secret to send to the identity provider."""
    oauth_scope: str = ""
    """The scope to ask for; empty: none."""
    oauth_token_file: str = ""
    """For OAUTHBEARER, instead of `oauth_token_url`: a file that always holds a valid token."""
    oauth_extensions: tuple[Annotated[str, Meta(pattern=r"^[A-Za-z]+=.+$")], ...] = ()
    """`name=value` pairs to send to the broker with the token, such as Confluent Cloud's
    `logicalCluster=lkc`."""
    topic_prefix: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9._-]*$", max_length=100)] = ""
    """Text put unchanged before the name of every topic, so that several services can share a cluster."""
    reply_topics: tuple[TopicName, ...] = ()
    """Topics that a question's `reply_to` may name; empty: none."""
    partitions: Count = 6
    """Partitions of the topics keyed by conversation, as `kotae topics create` makes them."""
    session_timeout_s: Seconds = 10.0
    """The group takes a worker for dead after this much silence, and gives its partitions to others."""


class Worker(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One worker process."""

    group_id: Annotated[str, Meta(min_length=1, max_length=200)] = "kotae"
    """The consumer group; workers of one group share the questions."""
    max_in_flight: Count = 1000
    """The most questions answered at once; fewer while the event loop is overloaded. The others wait in the
    log."""
    processes: Count = 1
    """Worker processes that `kotae worker` keeps running, each with its own event loop."""
    grace_s: Seconds = 30.0
    """How long running questions may take to finish after SIGTERM."""
    http_port: Port = 9464
    """Port that serves `/metrics`, `/health/*` and `/state`; 0: none."""
    http_host: str = "127.0.0.1"
    """Address that serves them. The default is reachable from this machine only, because `/state` shows a lot
    of the worker."""


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of time, in seconds, and of work at once."""

    deadline_s: Seconds = 30.0
    """The most time for one question, from the start of work on it. A question's own deadline may shorten
    it."""
    rewrite_s: Seconds = 2.0
    """Time for the model to make a follow-up question stand alone; after it rules do so."""
    retrieve_s: Seconds = 3.0
    """Time to find passages; after it the question is answered without them."""
    plan_s: Seconds = 4.0
    """Time to decide which tools to call; after it none is called."""
    tool_s: Seconds = 8.0
    """Time for all tools of a question together, and for each tool without a `timeout_s` of its own."""
    tool_concurrency: Count = 10
    """The most tools of one question that run at once."""
    tenant_share: Annotated[float, Meta(gt=0, le=1)] = 0.8
    """The largest share that one tenant may have of the questions running at once (`kotae_in_flight_limit`)
    while other tenants' questions wait."""
    deduplicate_s: Annotated[float, Meta(ge=0)] = 3600.0
    """Seconds for which a question that is sent again gets its first result and starts no tool; 0: it runs
    again."""
    deduplicate_records: Count = 100_000
    """The most results that a worker remembers for questions that are sent again."""


class Model(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An OpenAI-compatible chat completions server."""

    base_url: OpenAIUrl = ""
    """Address with the version path, for instance `http://127.0.0.1:8000/v1`; empty: no model, and answers
    are extracted from the passages."""
    name: str = "default"
    """Name of the model on its server."""
    api_key: str = ""
    """Key to send as a bearer token; empty: no key."""
    max_tokens: Count = 1024
    """The longest answer, in the model's tokens."""
    temperature: Annotated[float, Meta(ge=0, le=2)] = 0.0
    """Randomness of the model's choice of words; with 0, equal questions get equal answers."""
    parameters: Parameters = {}
    """Parameters to add to every request, as a JSON object, for instance `{"reasoning_effort": "low"}`; null
    leaves one out: `{"max_tokens": null, "max_completion_tokens": 1024}`. A TOML table does as well, but has
    no null."""
    headers: Headers = {}
    """Headers to send with every request, as a JSON object or a TOML table, for instance Azure's
    `{"api-key": {"env": "AZURE_KEY"}}`, whose value is in the environment variable `AZURE_KEY`."""
    system_role: Literal["system", "developer", "user"] = "system"
    """Role of Kotae's own instructions; with `user` they stand at the beginning of the user's first message,
    for models that know no system message."""
    max_concurrency: Count = 1000
    """Calls at once of one worker, at most; fewer while the server says that it is overloaded."""
    fallback_base_url: OpenAIUrl = ""
    """Address of a second server, which is asked when the first fails; empty: answers are then extracted from
    the passages."""
    fallback_name: str = "default"
    """Name of the model on the second server."""
    fallback_api_key: str = ""
    """Key to send to the second server as a bearer token; empty: no key."""
    fallback_parameters: Parameters = {}
    """As `parameters`, for the second server, which gets none of the first one's."""
    fallback_headers: Headers = {}
    """As `headers`, for the second server, which gets none of the first one's."""
    fallback_system_role: Literal["system", "developer", "user"] = "system"
    """As `system_role`, for the second server."""


BUILTIN = "builtin"
"""The value of `EMBEDDINGS.LOCAL` for the model that comes as a package."""


class Embeddings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The model that finds passages by meaning, on a server or in each worker; without one, they are found by
    BM25 alone."""

    base_url: OpenAIUrl = ""
    """Address of an OpenAI-compatible embeddings server, with the version path; empty: no server."""
    name: str = "default"
    """Name of the model on its server."""
    api_key: str = ""
    """Key to send as a bearer token; empty: no key."""
    local: str = ""
    """A model in each worker instead of a server: `builtin` (16 languages; the extra `kotae[builtin]`), or a
    directory with an ONNX file and a `tokenizer.json` (the extra `kotae[onnx]`); empty: none."""
    pooling: Literal["mean", "cls"] = "mean"
    """How a model in a directory makes a text's vector of its tokens': their mean, or the first one."""
    max_tokens: Count = 512
    """The tokens of a text that a model in a directory reads."""
    query_prefix: str = ""
    """Put before each question, as some models want it, such as `query: `; not for `builtin`."""
    passage_prefix: str = ""
    """Put before each passage of a document, such as `passage: `; not for `builtin`."""
    floor: Annotated[float, Meta(ge=-1, le=1)] | None = None
    """Passages that share no word with the question are found only if their vectors are at least so similar
    to its own (the cosine, -1 to 1). Unset: 0.18 for `builtin`, and none for other models, because their
    similarities differ widely."""


class Knowledge(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The index of the documents, and how many passages an answer uses."""

    qdrant_url: StoreUrl = ""
    """Address of a Qdrant server; empty: an index embedded in each worker."""
    qdrant_api_key: str = ""
    """Key to send to the Qdrant server; empty: no key."""
    collection: str = "kotae"
    """The collection on the Qdrant server; created if it is missing."""
    path: str = ""
    """Directory of the embedded index; empty: a temporary one, and the index is rebuilt from `documents` at
    every start."""
    top_k: Count = 5
    """The most passages that an answer may use."""
    chunk_tokens: Annotated[int, Meta(ge=32, le=8_192)] = 512
    """Tokens of a passage at most. After a change an index in `PATH` is rebuilt; for a Qdrant server name
    another collection."""
    chunk_overlap_tokens: Annotated[int, Meta(ge=0, le=1_024)] = 64
    """Tokens that a passage of prose repeats of the one before it."""
    dense_weight: Annotated[float, Meta(ge=0, le=1)] | None = None
    """With embeddings: the weight of meaning in a passage's score, 0 to 1; that of words is the rest.
    Not set: 0.4 for the built-in model, 0.5 for others."""


class Cache(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The answer cache: an answer is reused while nothing that it depends on has changed."""

    redis_url: str = ""
    """Address of a Redis in which workers share answers, `redis://host:6379/0`, or `rediss://` for TLS;
    empty: each worker has its own cache only."""
    ttl_s: Annotated[float, Meta(ge=0, le=36_000)] = 3600.0
    """How long answers, and results of searches on a server, are kept; 0: no cache. At most 36,000, because
    Kafka may forget the deletion of a document after a day."""
    max_bytes: Annotated[int, Meta(ge=65_536)] = 67_108_864
    """The most memory that one worker process uses for the cache, in bytes."""
    own_components: bool = False
    """Keep also answers made with custom components (`components`). Only their author knows whether these
    depend on anything besides the question and `documents`."""


class Egress(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Servers that requests may go to, and authorities that sign their certificates.

    The addresses of models, indexes and HTTP tools in the settings are always allowed.
    """

    allow: tuple[str, ...] = ()
    """`host:port` of internal servers that Python tools and components may call; public servers are always
    allowed."""
    ca_file: str = ""
    """PEM file of authorities to trust in addition to the system's, for HTTPS to models, embeddings, Qdrant
    and tools, and for Redis over TLS; empty: only the system's. For Kafka and its `OAUTH_TOKEN_URL`, set
    `KAFKA.SSL_CAFILE`."""


class Resilience(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Guards of the calls to model, tools and servers; turn one off to measure its cost."""

    breakers: bool = True
    """Stop calling a dependency for a while when half of its calls fail."""
    retries: bool = True
    """Repeat calls whose failure may be temporary, within a budget; without it nothing is hedged either."""
    hedging: bool = True
    """Send a second request when a search or GET tool takes longer than 95 % of its earlier calls."""
    adaptive_concurrency: bool = True
    """Make fewer calls at once while a model is overloaded."""


class ComponentSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Custom components: `module:factory`, or a name in the entry-point group `kotae.components`.

    A factory takes `agents.loading.Resources` and returns the component.
    """

    retriever: str = ""
    """Finds passages; empty: a search in the index that `knowledge` sets."""
    planner: str = ""
    """Decides which tools to call; empty: the model."""
    tool_executor: str = ""
    """Lists the tools and runs them; empty: the tools of `[tools]` and of the entry points."""
    generator: str = ""
    """Writes the answer; empty: the model, or extraction without a model."""
    graph: str = ""
    """Replaces the whole stage graph."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings; `tools` is the raw TOML table `[tools.NAME]`, which `agents.tools` checks."""

    kafka: Kafka = field(default_factory=Kafka)
    worker: Worker = field(default_factory=Worker)
    limits: Limits = field(default_factory=Limits)
    model: Model = field(default_factory=Model)
    embeddings: Embeddings = field(default_factory=Embeddings)
    knowledge: Knowledge = field(default_factory=Knowledge)
    cache: Cache = field(default_factory=Cache)
    egress: Egress = field(default_factory=Egress)
    resilience: Resilience = field(default_factory=Resilience)
    components: ComponentSettings = field(default_factory=ComponentSettings)
    tools: dict[str, dict[str, Any]] = field(default_factory=dict)
