"""A chat's back end: FastAPI sends each answer to the browser while it is written (server-sent events).

pip install fastapi uvicorn
uvicorn fastapi_sse:app
curl -N "http://127.0.0.1:8000/ask?text=How+long+is+the+warranty?&conversation=user-7"
"""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from schemas.event import AnswerDelta
from schemas.question import Question
from streams.client import AskClient
from streams.settings.model import Kafka

clients: dict[str, AskClient] = {}


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Keep one client for all requests."""
    kafka = Kafka(bootstrap_servers=os.environ.get("KAFKA", "127.0.0.1:9092"))
    async with AskClient(kafka) as clients["kafka"]:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/ask")
async def ask(text: str, conversation: str) -> StreamingResponse:
    """Stream events `delta`, and at the end one `answer`, which counts."""
    question = Question(id=str(uuid.uuid4()), text=text, conversation_id=conversation)

    async def events() -> AsyncIterator[bytes]:
        async for part in clients["kafka"].astream(question):
            kind = b"delta" if isinstance(part, AnswerDelta) else b"answer"
            yield b"event: %s\ndata: %s\n\n" % (kind, msgspec.json.encode(part))

    return StreamingResponse(events(), media_type="text/event-stream")
