"""Plans, rewrites follow-ups and writes answers with any server of OpenAI's chat completions."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any

from agents.components import Call, DeltaSink, Generation, Grounding, Plan, Rewriting, ToolSpec
from agents.http.addresses import resource_url
from agents.http.pool import HttpPool, HttpResponse, HttpStream, json_body
from agents.http.request_ids import RequestIds
from agents.http.status import raise_for_status
from agents.models.completion import Completions, StreamedGeneration
from agents.models.parameters import Parameters
from agents.models.prompt import Message, SystemRole, generate_messages, plan_messages, rewrite_messages
from agents.models.sse import EventDecoder, ServerEvent, begins_events
from schemas.question import Question

END_S = 2.0
"""Seconds to wait for token counts and `[DONE]` once the server has named the reason for the end.

They come at once, or never: some servers send none and hold the connection open.
"""
_STREAMED: Mapping[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


class OpenAIModel:
    """A Planner, a Rewriter and a Generator.

    Args:
        pool: the connections to the server; their owner closes them.
        base_url: the address with the version path, for instance `http://127.0.0.1:8000/v1`; a query in it
            goes with every call.
        name: the model's name at the server.
        api_key: sent as a bearer token; empty: none is sent.
        max_tokens: the longest answer or plan.
        parameters: added to every request, or removed from it where None.
        headers: sent with every request; `Authorization` takes the place of the bearer token.
        system_role: the role of our own instructions.
        setting: the setting that holds `parameters`, for a warning.
    """

    def __init__(
        self,
        pool: HttpPool,
        base_url: str,
        name: str,
        api_key: str = "",
        *,
        max_tokens: int = 1024,
        temperature: float = 0.0,
        parameters: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        system_role: SystemRole = "system",
        setting: str = "MODEL.PARAMETERS",
    ) -> None:
        self.name = name
        self._pool = pool
        self._url = resource_url(base_url, "chat/completions")
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        if api_key and not any(header.lower() == "authorization" for header in self._headers):
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._system_role: SystemRole = system_role
        own = {"model": name, "max_tokens": max_tokens, "temperature": temperature}
        server = f"{pool.dependency} ({name})"
        self._ids = RequestIds(server)
        self._parameters = Parameters(server, setting, own, parameters)
        self._completions = Completions(pool.dependency, name)

    def __repr__(self) -> str:
        return f"<OpenAIModel {self.name} at {self._url.partition('?')[0]}>"

    async def aplan(self, question: Question, tools: Sequence[ToolSpec], call: Call) -> Plan:
        """Return the tool calls as the model wrote them; the executor decides whether they may run."""
        offers = {"tools": [_offer(tool) for tool in tools], "tool_choice": "auto"}
        response = await self._ask(lambda: plan_messages(question, self._system_role), offers, call)
        return self._completions.plan(self._content(response), {tool.name for tool in tools})

    async def arewrite(self, question: Question, call: Call) -> Rewriting:
        """Return the question as the model makes it stand alone; a reply of another form is refused."""
        response = await self._ask(lambda: rewrite_messages(question, self._system_role), {}, call)
        return self._completions.rewriting(self._content(response))

    async def agenerate(
        self, grounding: Grounding, call: Call, on_delta: DeltaSink | None = None
    ) -> Generation:
        """Return the model's answer; streamed only with `on_delta`, because a stream costs more to read."""
        # No variable holds the messages or the body while the request runs: memory would hold thousands of
        # prompts, twice.
        uuids = self._ids.uuids
        while True:
            left_out = self._parameters.left_out
            if on_delta is None:
                response = await self._post(self._generate_body(grounding), call, uuids=uuids)
            else:
                async with self._pool.stream(
                    "POST",
                    self._url,
                    body=self._generate_body(grounding, **_STREAMED),
                    headers=self._labelled(call, uuids=uuids),
                ) as stream:
                    begun = await _begun(stream)
                    if stream.status // 100 == 2 and begins_events(begun):
                        self._ids.took(uuids=uuids)
                        return await self._read(begun, stream, on_delta)
                    # An error, or a server that does not stream.
                    whole = b"".join([begun, *[chunk async for chunk in stream.chunks]])
                    response = HttpResponse(stream.status, stream.headers, whole)
            added: Collection[str] = _STREAMED if on_delta else ()
            if self._ids.is_refused(response, uuids=uuids):
                uuids = True
            elif not self._parameters.learn(response, left_out, added):
                break
        generation = self._completions.generation(self._content(response))
        if on_delta is not None:
            on_delta(generation.text)
        return generation

    async def _ask(
        self, messages: Callable[[], list[Message]], more: Mapping[str, Any], call: Call
    ) -> HttpResponse:
        """Return the response to the messages; they are sent again as long as the server can be suited."""
        uuids = self._ids.uuids
        while True:
            left_out = self._parameters.left_out
            response = await self._post(
                json_body(self._parameters.body(messages(), **more)), call, uuids=uuids
            )
            if self._ids.is_refused(response, uuids=uuids):
                uuids = True
            elif not self._parameters.learn(response, left_out, more):
                return response

    def _post(self, body: bytes, call: Call, *, uuids: bool) -> Coroutine[Any, Any, HttpResponse]:
        return self._pool.arequest("POST", self._url, body=body, headers=self._labelled(call, uuids=uuids))

    def _labelled(self, call: Call, *, uuids: bool) -> dict[str, str]:
        return self._ids.labelled({**self._headers, **call.headers}, uuids=uuids)

    def _content(self, response: HttpResponse) -> bytes:
        raise_for_status(self._pool.dependency, response)
        return response.body

    def _generate_body(self, grounding: Grounding, **more: Any) -> bytes:
        messages = generate_messages(grounding, self._system_role)
        return json_body(self._parameters.body(messages, **more))

    async def _read(self, begun: bytes, stream: HttpStream, on_delta: DeltaSink) -> Generation:
        decoder = EventDecoder()
        streamed = self._completions.stream()
        chunk = begun
        ends_at: float | None = None
        while chunk:
            _pass_on(streamed, decoder.feed(chunk), on_delta)
            if streamed.done:
                break
            if not streamed.complete:
                chunk = await anext(stream.chunks, b"")
                continue
            ends_at = ends_at or asyncio.get_running_loop().time() + END_S
            following = await _next_until(stream, ends_at)
            if following is None:
                break
            chunk = following
        else:
            _pass_on(streamed, decoder.close(), on_delta)
        rest = streamed.close()
        generation = streamed.result()
        if rest:
            on_delta(rest)
        return generation


def _pass_on(streamed: StreamedGeneration, events: Sequence[ServerEvent], on_delta: DeltaSink) -> None:
    for event in events:
        if (text := streamed.feed(event)) and not streamed.done:
            on_delta(text)
        if streamed.done:
            break


async def _next_until(stream: HttpStream, ends_at: float) -> bytes | None:
    """Return the next piece of a body, b"" at its end; None, with the connection closed, if it is late."""
    try:
        async with asyncio.timeout_at(ends_at):
            return await anext(stream.chunks, b"")
    except TimeoutError:
        return None


async def _begun(stream: HttpStream) -> bytes:
    """Return the beginning of a body, long enough to see whether it is a stream of events."""
    begun = b""
    async for chunk in stream.chunks:
        begun += chunk
        if begins_events(begun) is not None:
            break
    return begun


def _offer(tool: ToolSpec) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    }
