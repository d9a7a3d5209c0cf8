"""A tool that is an HTTP endpoint: POST sends the arguments as JSON, GET as the query."""

from collections.abc import Iterable, Mapping
from email.message import Message
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import orjson
from msgspec.structs import replace

from agents.components import ToolSpec
from agents.errors import BadOutputError, DependencyError, PermanentError
from agents.http.pool import HttpPool, HttpResponse, json_body
from agents.http.request_ids import RequestIds
from agents.http.status import raise_for_status
from agents.json_values import unrounded
from agents.tools.tool import DidNotRunError, RejectedCallError


class HttpTool:
    """One endpoint, over a pool of its own.

    A query holds text as it is, a list or object as JSON, and null not at all. A parameter that the
    address's own query sets is no argument, unless the schema names it. A 2xx response is the result: JSON
    by its content type, null if it is empty, else text. JSON with a whole number beyond 64 bits is text,
    too. Every other status is an error, also a redirect, which is not followed. `secrets` that a response
    repeats are hidden. A server that refuses `X-Request-Id` by name gets UUIDs there from then on; the
    refused request is sent again only if the tool is idempotent.
    """

    def __init__(
        self,
        spec: ToolSpec,
        *,
        url: str,
        method: Literal["GET", "POST"],
        pool: HttpPool,
        tenants: frozenset[str] | None = None,
        reconcile_url: str = "",
        secrets: Iterable[str] = (),
    ) -> None:
        self.spec = spec
        self.tenants = tenants
        self.reconcile_url = reconcile_url
        self.method = method
        self._url = url
        self._pool = pool
        self._ids = RequestIds(pool.dependency)
        self._secrets = tuple(secret.encode() for secret in secrets)
        # Many servers take the last of several values, which would be the model's.
        named = spec.parameters.get("properties")
        self._fixed = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)).keys() - (
            named.keys() if isinstance(named, dict) else ()
        )

    def __repr__(self) -> str:
        return f"<HttpTool {self.spec.name} {self.method}>"

    async def arun(self, arguments: dict[str, Any], headers: dict[str, str]) -> Any:
        """Send one request, and return its result as the class describes it."""
        if self.method == "GET":
            if fixed := self._fixed.intersection(arguments):
                problem = f"{', '.join(sorted(fixed))}: set by the tool's address, and not an argument"
                raise RejectedCallError(self._pool.dependency, problem)
            query = {
                name: value if isinstance(value, str) else self._json(value).decode()
                for name, value in arguments.items()
                if value is not None
            }
            response = await self._arequest("GET", self._url, headers, params=query)
        else:
            headers["Content-Type"] = "application/json"
            response = await self._arequest("POST", self._url, headers, body=self._json(arguments))
        if 300 <= response.status < 400:
            raise PermanentError(
                self._pool.dependency,
                f"HTTP {response.status}: it redirects, and redirects are not followed",
                status=response.status,
            )
        response = self._without_secrets(response)
        raise_for_status(self._pool.dependency, response)
        return _content(self._pool.dependency, response)

    async def areconcile(self, headers: dict[str, str]) -> Any:
        """Ask `reconcile_url`. The body of a 200 is the call's result; 404 means that it never ran."""
        dependency = self._pool.dependency
        response = await self._arequest("GET", self.reconcile_url, headers, may_repeat=True)
        if response.status == 404:
            raise DidNotRunError(dependency, "its server knows no such call", status=404)
        if response.status != 200:
            raise DependencyError(dependency, f"HTTP {response.status}", status=response.status)
        return _content(dependency, self._without_secrets(response))

    async def areach(self) -> str:
        """Find out whether the tool can be called, without a call, and return the finding.

        Only a GET tool that may be repeated is sent a request, a HEAD without arguments. Its status tells
        only whether the log-in is right: few servers answer 200 to that.
        """
        if self.reconcile_url:
            await self._pool.aconnect(self.reconcile_url)
        if self.method == "POST" or not self.spec.idempotent:
            await self._pool.aconnect(self._url)
            return "takes connections; nothing was sent"
        response = await self._pool.arequest("HEAD", self._url)
        if response.status in {401, 403, 407}:
            raise_for_status(self._pool.dependency, response)
        return f"answers HTTP {response.status} to a HEAD"

    async def _arequest(
        self, method: str, url: str, headers: Mapping[str, str], *, may_repeat: bool = False, **more: Any
    ) -> HttpResponse:
        """Send one request, and once more if the server refused only its id and the tool may be repeated."""
        uuids = self._ids.uuids
        labelled = self._ids.labelled(headers, uuids=uuids)
        response = await self._pool.arequest(method, url, headers=labelled, **more)
        if self._ids.is_named(response, uuids=uuids) and (may_repeat or self.spec.idempotent):
            labelled = self._ids.labelled(headers, uuids=True)
            response = await self._pool.arequest(method, url, headers=labelled, **more)
        return response

    def _without_secrets(self, response: HttpResponse) -> HttpResponse:
        # Results and error messages go into prompts, answers and traces.
        for secret in self._secrets:
            if secret in response.body:
                response = replace(response, body=response.body.replace(secret, b"***"))
        return response

    def _json(self, value: Any) -> bytes:
        try:
            return json_body(value)
        except TypeError as error:
            problem = f"the arguments cannot be written as JSON: {error}"
            raise RejectedCallError(self._pool.dependency, problem) from error

    async def aclose(self) -> None:
        """Close the pool."""
        await self._pool.aclose()


def _content(dependency: str, response: HttpResponse) -> Any:
    if not response.body:
        return None
    declared = response.headers.get("Content-Type", "")
    # The hot path: the usual type needs no parsing.
    if declared.startswith("application/json"):
        return _json(dependency, response.body)
    header = Message()
    header["Content-Type"] = declared or "text/plain"
    kind = header.get_content_type()
    if kind.endswith(("+json", "/json")):
        return _json(dependency, response.body)
    try:
        return response.body.decode(
            header.get_content_charset("utf-8"), "replace" if kind.startswith("text/") else "strict"
        )
    except (UnicodeDecodeError, LookupError) as error:
        raise BadOutputError(dependency, f"the response is neither JSON nor text ({kind})") from error


def _json(dependency: str, body: bytes) -> Any:
    try:
        value = orjson.loads(body)
        # Many readers of an answer would round such a number, but none rounds text.
        return value if unrounded(value, body) is value else body.decode()
    except orjson.JSONDecodeError as error:
        raise BadOutputError(
            dependency, "the response is not JSON, though its content type says so"
        ) from error
