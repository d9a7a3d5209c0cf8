"""Tools that operators declare in the TOML table `[tools.NAME]`."""

import math
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from agents.components import ToolSpec
from agents.http.addresses import Env, HeaderError, resolved_headers
from agents.http.egress import endpoint
from agents.http.pool import HttpPool
from agents.loading import TOOLS_GROUP, LoadingError, load_component
from agents.tools.http_tool import HttpTool
from agents.tools.python_tool import PythonTool
from agents.tools.tool import RESULT_BYTES_MAX, Tool, ToolConfigError

if TYPE_CHECKING:
    import httpx

D = TypeVar("D", bound=Struct)


class _Declared(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    description: Annotated[str, Meta(pattern=r"\S")]
    url: str
    method: Literal["GET", "POST"] = "POST"
    timeout_s: Annotated[float, Meta(gt=0)] | None = None
    idempotent: bool | None = None
    cacheable: bool = False
    concurrency: Annotated[int, Meta(ge=1)] = 100
    reconcile_url: str = ""
    tenants: Annotated[frozenset[str], Meta(min_length=1)] | None = None
    headers: dict[str, str | Env] = {}
    parameters: dict[str, Any] = {}


class _DeclaredPython(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    python: str
    description: Annotated[str, Meta(pattern=r"\S")] | None = None
    timeout_s: Annotated[float, Meta(gt=0)] | None = None
    idempotent: bool | None = None
    cacheable: bool | None = None
    concurrency: Annotated[int, Meta(ge=1)] = 100
    tenants: Annotated[frozenset[str], Meta(min_length=1)] | None = None


_ALLOWED = {
    "description": "text that tells a model when to call it",
    "url": 'an address such as "https://example.com/path", without user name, password or fragment',
    "method": '"GET" (arguments as the query) or "POST" (arguments as JSON)',
    "timeout_s": "seconds, more than 0",
    "idempotent": "true or false",
    "cacheable": "true or false, and true only where the tool is idempotent",
    "concurrency": "a whole number of at least 1",
    "reconcile_url": 'an address such as "https://example.com/path"',
    "tenants": "a list of at least one tenant's name",
    "headers": 'names with text, or with { env = "NAME" }',
    "parameters": "a JSON Schema as a table",
    "python": "an async function as module:attribute",
}
SECRET_HEADER = re.compile(r"auth|key|token|secret|password|cookie|session", re.IGNORECASE)
"""Matches names of headers whose values count as secret although they stand in the settings."""
_SECRET_MIN = 8
"""Characters of the shortest secret that is hidden; a shorter one would match other text by chance."""

_PLACE = re.compile(r"`\$\.(\w+)")
_FIELD = re.compile(r"field `(\w+)`")


def table_tools(
    table: Mapping[str, Any],
    *,
    environ: Mapping[str, str],
    http: "Callable[[], httpx.AsyncClient]",
    default_timeout_s: float,
    tls: ssl.SSLContext | None = None,
) -> list[Tool]:
    """Make the tools of `[tools]`: those with `url` are HTTP tools, those with `python` async functions.

    Each HTTP tool has a pool of its own that opens with its first call. `environ` holds the header values of
    the form `{env = "NAME"}`. `http` returns the client for functions that ask for one. `tls` holds the
    authorities that HTTP tools trust (see `HttpPool`).

    Raises:
        ToolConfigError: a declaration is wrong. The message names the tool, the field and the allowed values.
    """
    return [
        _python_tool(name, _converted(name, declared, _DeclaredPython), http, default_timeout_s)
        if isinstance(declared, Mapping) and "python" in declared
        else _http_tool(name, _converted(name, declared, _Declared), environ, default_timeout_s, tls)
        for name, declared in table.items()
    ]


def _python_tool(
    name: str,
    declared: _DeclaredPython,
    http: "Callable[[], httpx.AsyncClient]",
    default_timeout_s: float,
) -> PythonTool:
    try:
        function = load_component(declared.python, TOOLS_GROUP)
        made = PythonTool(function, name=name, http=http, default_timeout_s=default_timeout_s)
    except (LoadingError, ToolConfigError) as error:
        raise ToolConfigError(f"[tools.{name}] python: {error}") from error
    made.spec = replace(
        made.spec,
        description=declared.description or made.spec.description,
        timeout_s=_finite(name, declared.timeout_s or made.spec.timeout_s),
        idempotent=made.spec.idempotent if declared.idempotent is None else declared.idempotent,
        cacheable=made.spec.cacheable if declared.cacheable is None else declared.cacheable,
        concurrency=declared.concurrency,
    )
    made.tenants = declared.tenants or made.tenants
    return made


def _http_tool(
    name: str,
    declared: _Declared,
    environ: Mapping[str, str],
    default_timeout_s: float,
    tls: ssl.SSLContext | None,
) -> HttpTool:
    _check_url(name, "url", declared.url)
    if declared.reconcile_url:
        _check_url(name, "reconcile_url", declared.reconcile_url)
    spec = ToolSpec(
        name=name,
        description=declared.description.strip(),
        # A schema without a type would let any value pass; a call's arguments are always an object.
        parameters={"type": "object", "properties": {}, **declared.parameters},
        timeout_s=_finite(name, declared.timeout_s or default_timeout_s),
        idempotent=declared.method == "GET" if declared.idempotent is None else declared.idempotent,
        cacheable=declared.cacheable,
        concurrency=declared.concurrency,
    )
    try:
        headers = resolved_headers(f"[tools.{name}] headers", declared.headers, environ)
    except HeaderError as error:
        raise ToolConfigError(str(error)) from error
    pool = HttpPool(
        f"tools/{name}",
        headers=headers,
        max_response_bytes=RESULT_BYTES_MAX,
        allowed={endpoint(url) for url in (declared.url, declared.reconcile_url) if url},
        tls=tls,
    )
    return HttpTool(
        spec,
        url=declared.url,
        method=declared.method,
        pool=pool,
        tenants=declared.tenants,
        reconcile_url=declared.reconcile_url,
        secrets=_secrets(headers, declared.headers),
    )


def _converted(name: str, table: Mapping[str, Any], kind: type[D]) -> D:
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        problem = str(error)
        allowed = ", ".join(kind.__struct_fields__)
        place = _PLACE.search(problem)
        match = place or _FIELD.search(problem)
        if match is None:
            raise ToolConfigError(f"[tools.{name}]: {problem}; allowed: a table with {allowed}") from None
        field = match[1]
        if field not in kind.__struct_fields__:
            raise ToolConfigError(f"[tools.{name}] {field}: unknown key; allowed: {allowed}") from None
        what = "is missing" if place is None else problem.partition(" - at ")[0]
        raise _wrong(name, field, what) from None


def _finite(name: str, timeout_s: float) -> float:
    if not math.isfinite(timeout_s):
        raise _wrong(name, "timeout_s", "not a number of seconds")
    return timeout_s


def _wrong(name: str, field: str, what: str) -> ToolConfigError:
    return ToolConfigError(f"[tools.{name}] {field}: {what}; allowed: {_ALLOWED[field]}")


def _check_url(name: str, field: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        callable_ = parts.scheme in {"http", "https"} and bool(endpoint(url))
        clean = url.isprintable() and " " not in url and not parts.fragment and "@" not in parts.netloc
    except ValueError:  # a port out of range, or half an IPv6 address
        callable_ = clean = False
    if not (callable_ and clean):
        # The message leaves the value out, because it may hold a password.
        raise _wrong(name, field, "not an address that can be called")


def _secrets(headers: Mapping[str, str], declared: Mapping[str, str | Env]) -> list[str]:
    """Return the words to hide: those of values from the environment and of headers with secret names."""
    return [
        word
        for header, value in headers.items()
        if isinstance(declared[header], Env) or SECRET_HEADER.search(header)
        for word in value.split()
        if len(word) >= _SECRET_MIN
    ]
