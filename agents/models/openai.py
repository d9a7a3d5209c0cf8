"""Plans tool calls and writes answers with any server that offers OpenAI's chat completions."""

from collections.abc import Coroutine, Sequence
from typing import Any

from agents.components import Call, DeltaSink, Generation, Grounding, Plan, ToolSpec
from agents.http.pool import HttpPool, HttpResponse, HttpStream, json_body
from agents.http.status import raise_for_status
from agents.models.completion import StreamedGeneration, parse_generation, parse_plan
from agents.models.prompt import Message, generate_messages, plan_messages
from agents.models.sse import EventDecoder
from schemas.question import Question


class OpenAIModel:
    """A Planner and a Generator.

    Args:
        pool: the connections to the server; their owner closes them.
        base_url: the address with the version path, for instance `http://127.0.0.1:8000/v1`.
        name: the model's name at the server.
        api_key: sent as a bearer token; empty: none is sent.
        max_tokens: the longest answer or plan.
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
    ) -> None:
        self.name = name
        self._pool = pool
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._options = {"model": name, "max_tokens": max_tokens, "temperature": temperature}

    def __repr__(self) -> str:
        return f"<OpenAIModel {self.name} at {self._url}>"

    async def aplan(self, question: Question, tools: Sequence[ToolSpec], call: Call) -> Plan:
        """Return the tool calls as the model wrote them; the executor decides whether they may run."""
        offers = [_offer(tool) for tool in tools]
        response = await self._post(
            self._body(plan_messages(question), tools=offers, tool_choice="auto"), call
        )
        return parse_plan(self._pool.dependency, self._content(response))

    async def agenerate(
        self, grounding: Grounding, call: Call, on_delta: DeltaSink | None = None
    ) -> Generation:
        """Return the model's answer; streamed only with `on_delta`, because a stream costs more to read."""
        # No variable holds the messages or the body while the request runs: memory would hold thousands of
        # prompts, twice.
        if on_delta is None:
            response = await self._post(self._body(generate_messages(grounding)), call)
            return parse_generation(self._pool.dependency, self._content(response), self.name)
        options = {"include_usage": True}
        async with self._pool.stream(
            "POST",
            self._url,
            body=self._body(generate_messages(grounding), stream=True, stream_options=options),
            headers={**self._headers, **call.headers},
        ) as stream:
            if _is_event_stream(stream):
                return await self._read(stream, on_delta)
            # An error, or a server that does not stream.
            whole = b"".join([chunk async for chunk in stream.chunks])
            content = self._content(HttpResponse(stream.status, stream.headers, whole))
            generation = parse_generation(self._pool.dependency, content, self.name)
            on_delta(generation.text)
            return generation

    def _post(self, body: bytes, call: Call) -> Coroutine[Any, Any, HttpResponse]:
        headers = {**self._headers, **call.headers}
        return self._pool.arequest("POST", self._url, body=body, headers=headers)

    def _content(self, response: HttpResponse) -> bytes:
        raise_for_status(self._pool.dependency, response)
        return response.body

    def _body(self, messages: list[Message], **more: Any) -> bytes:
        return json_body({**self._options, "messages": messages, **more})

    async def _read(self, stream: HttpStream, on_delta: DeltaSink) -> Generation:
        decoder = EventDecoder()
        streamed = StreamedGeneration(self._pool.dependency, self.name)
        async for chunk in stream.chunks:
            for event in decoder.feed(chunk):
                if (text := streamed.feed(event.data)) and not streamed.done:
                    on_delta(text)
            if streamed.done:
                return streamed.result()
        for event in decoder.close():
            if text := streamed.feed(event.data):
                on_delta(text)
        return streamed.result()


def _is_event_stream(stream: HttpStream) -> bool:
    kind = stream.headers.get("Content-Type", "").lower()
    return stream.status // 100 == 2 and kind.startswith("text/event-stream")


def _offer(tool: ToolSpec) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    }
