"""The settings to check when a dependency fails, as a clause for a warning. Pure."""

from dataclasses import dataclass, replace

from agents.errors import (
    BadOutputError,
    DependencyError,
    ThrottledError,
    TimedOutError,
    UnusableServerError,
)
from agents.http.certificates import found_tls_failure
from agents.knowledge.index import DEPENDENCY as INDEX

CA_FILE = "KOTAE_EGRESS__CA_FILE"


@dataclass(frozen=True, slots=True)
class _Names:
    """The settings of one dependency.

    Attributes:
        url: its address.
        key: proves who we are.
        subject: is asked for there, such as a model's name; a server that lacks it says 404.
        request: decides on the form of a request; a wrong one is a 400.
        time: bounds the time of a call.
        protocol: names the kind of server.
    """

    url: str
    key: str
    subject: str
    request: str
    time: str
    protocol: str


def _openai(start: str, time: str) -> _Names:
    return _Names(
        url=f"{start}BASE_URL",
        key=f"{start}API_KEY",
        subject=f"{start}NAME",
        request=f"{start}NAME",
        time=time,
        protocol="an OpenAI-compatible server, with the version path such as /v1",
    )


def _model(start: str) -> _Names:
    return replace(
        _openai(start, "KOTAE_LIMITS__DEADLINE_S"),
        key=f"{start}API_KEY and {start}HEADERS",
        request=f"{start}NAME and {start}PARAMETERS, unless the question is too long for the model",
    )


_NAMES = {
    "model": _model("KOTAE_MODEL__"),
    "fallback_model": _model("KOTAE_MODEL__FALLBACK_"),
    "embeddings": _openai("KOTAE_EMBEDDINGS__", "KOTAE_LIMITS__RETRIEVE_S"),
    INDEX: _Names(
        url="KOTAE_KNOWLEDGE__QDRANT_URL",
        key="KOTAE_KNOWLEDGE__QDRANT_API_KEY",
        subject="KOTAE_KNOWLEDGE__COLLECTION",
        request="KOTAE_KNOWLEDGE__COLLECTION",
        time="KOTAE_LIMITS__RETRIEVE_S",
        protocol="a Qdrant server",
    ),
    "redis": _Names(
        url="KOTAE_CACHE__REDIS_URL",
        key="KOTAE_CACHE__REDIS_URL",
        subject="KOTAE_CACHE__REDIS_URL",
        request="KOTAE_CACHE__REDIS_URL (user, password and rights)",
        time="KOTAE_CACHE__REDIS_URL",
        protocol="a Redis",
    ),
}
_COMPONENTS = {"planner", "generator", "retriever"}


def _names(dependency: str) -> _Names:
    if dependency in _NAMES:
        return _NAMES[dependency]
    table = f"[tools.{dependency.removeprefix('tools/')}]"
    return _Names(
        url=f"url in {table}",
        key=f"headers in {table}",
        subject=f"url in {table}",
        request=f"method and parameters in {table}",
        time=f"timeout_s in {table}",
        protocol="a server that answers in JSON or text",
    )


def remedy_for(dependency: str, error: DependencyError) -> str:
    """Return the clause, such as `check KOTAE_EMBEDDINGS__API_KEY`."""
    if dependency in _COMPONENTS:
        return f"look at the component that KOTAE_COMPONENTS__{dependency.upper()} names"
    names = _names(dependency)
    if error.status is not None:
        return _for_status(names, error.status)
    clause = f"check that the server that {names.url} names runs and can be reached from here"
    if isinstance(error, UnusableServerError):
        clause = f"check {names.url} and {CA_FILE}"
    elif found_tls_failure(error):
        clause = f"check {names.url} (https or http, host and port) and {CA_FILE}"
    elif isinstance(error, TimedOutError):
        clause = f"look at the load of the server that {names.url} names; {names.time} is the time it has"
    elif isinstance(error, BadOutputError):
        clause = f"check that {names.url} is the address of {names.protocol}"
    elif isinstance(error, ThrottledError):
        clause = _for_status(names, 429)
    return clause


def _for_status(names: _Names, status: int) -> str:
    clause = f"check {names.request}"
    if status in {401, 403, 407}:
        clause = f"check {names.key}"
    elif status in {404, 405, 410}:
        either = names.url if names.url == names.subject else f"{names.url} and {names.subject}"
        clause = f"check {either}"
    elif 300 <= status < 400:
        clause = f"redirects are not followed: give the final address in {names.url}"
    elif status == 429:
        clause = f"the server that {names.url} names allows no more calls; ask for more, or make fewer"
    elif status >= 500 or status == 408:
        clause = f"look at the log of the server that {names.url} names"
    return clause
