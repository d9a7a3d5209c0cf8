"""A webhook: a help desk posts a ticket, and gets the answer in the response.

Help desks send a ticket again when no response comes in time. The ticket's own id is the question's: whatever
is sent again gets the first answer, and no tool runs twice.

    python webhook.py
    curl -d '{"id": "t-17", "customer": "acme", "text": "How long is the warranty?"}' 127.0.0.1:8080/tickets
"""

import os
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from schemas.question import Question
from streams.client import AskClient
from streams.settings.model import Kafka

CLIENT = web.AppKey("client", AskClient)


async def connect(app: web.Application) -> AsyncIterator[None]:
    """Keep one client for all tickets."""
    async with AskClient(Kafka(bootstrap_servers=os.environ.get("KAFKA", "127.0.0.1:9092"))) as app[CLIENT]:
        yield


async def take_ticket(request: web.Request) -> web.Response:
    """Answer a ticket; 503 asks the help desk to send it again."""
    ticket = await request.json()
    question = Question(id=ticket["id"], text=ticket["text"], conversation_id=ticket["customer"])
    try:
        answer = await request.app[CLIENT].aask(question, timeout_s=20)
    except TimeoutError:
        return web.Response(status=503, headers={"Retry-After": "5"})
    # A failed question is run again when it is sent again; an answered one is not.
    status = 503 if answer.status == "failed" else 200
    return web.Response(status=status, body=msgspec.json.encode(answer), content_type="application/json")


def make_app() -> web.Application:
    """Make the application."""
    app = web.Application()
    app.cleanup_ctx.append(connect)
    app.router.add_post("/tickets", take_ticket)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
