"""The model and the tools of the benchmark: `python -m tests.benchmarks.services --port N`.

A server with known latencies and as little CPU as Python allows: a request is read up to its last
byte, a prepared response is written after its latency. The plan calls every tool that is offered; the
tools and the model answer with constants, because only the work around them is measured.
"""

import argparse
import asyncio
import re
from dataclasses import dataclass
from typing import cast

import orjson

from tests.benchmarks.event_loop import run

PLAN_S, TOOL_S, GENERATE_S, RETRIEVE_S = 0.100, 0.080, 0.140, 0.080

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def _response(body: object) -> bytes:
    content = orjson.dumps(body)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


def _completion(message: dict[str, object], finish: str) -> bytes:
    return _response(
        {
            "id": "c",
            "object": "chat.completion",
            "created": 0,
            "model": "benchmark",
            "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
        }
    )


def _plan(calls: int) -> bytes:
    called = [
        {
            "id": f"call_{n}",
            "type": "function",
            "function": {"name": f"tool{n}", "arguments": '{"city":"Tokyo"}'},
        }
        for n in range(1, calls + 1)
    ]
    return _completion({"content": None, "tool_calls": called}, "tool_calls")


PLANS = [_plan(calls) for calls in range(11)]
ANSWER = _completion({"content": "The warranty lasts three years [1]. The sky is clear."}, "stop")
RESULT = _response({"temperature": 21, "sky": "clear"})


@dataclass(frozen=True, slots=True)
class Latencies:
    """The latencies of the services in seconds."""

    plan_s: float = PLAN_S
    tool_s: float = TOOL_S
    generate_s: float = GENERATE_S
    retrieve_s: float = RETRIEVE_S
    """Latency of retrieval from a server; the embedded index asks none."""


STAGES = ("plan", "tool", "generate", "retrieve")


class Service(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop, latencies: Latencies) -> None:
        self._loop = loop
        self._latencies = latencies
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._received, 0, end)
        if len(self._received) < end + 4 + (int(length[1]) if length else 0):
            return
        request, self._received = self._received, b""
        line = request[: request.find(b"\r\n")]
        if b"/tool" in line:
            delay, response = self._latencies.tool_s, RESULT
        elif b"/retrieve" in line:
            delay, response = self._latencies.retrieve_s, RESULT
        elif b'"tools"' in request:
            delay, response = self._latencies.plan_s, PLANS[request.count(b'"type":"function"')]
        else:
            delay, response = self._latencies.generate_s, ANSWER
        self._loop.call_later(delay, self._write, response)

    def _write(self, response: bytes) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(response)


async def serve(port: int, latencies: Latencies) -> None:
    """Serve until cancelled."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Service(loop, latencies), "127.0.0.1", port, backlog=4096)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    for stage in STAGES:
        parser.add_argument(f"--{stage}-s", type=float, default=getattr(Latencies(), f"{stage}_s"))
    options = parser.parse_args()
    run(serve(options.port, Latencies(*(getattr(options, f"{stage}_s") for stage in STAGES))))
