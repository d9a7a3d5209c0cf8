"""A retriever that asks a server before it searches, as the article's did (`components.retriever`)."""

import os
from collections.abc import Sequence

from agents.components import Call, Passage, Retriever
from agents.loading import Resources
from schemas.question import Question


class RemoteRetriever:
    """The default retriever behind a call to the services' `/retrieve`."""

    def __init__(self, resources: Resources) -> None:
        self._http = resources.http
        self._retriever: Retriever = resources.retriever
        self._url = os.environ["BENCH_TOOLS_URL"] + "/retrieve"

    async def aretrieve(self, question: Question, call: Call) -> Sequence[Passage]:
        (await self._http().post(self._url, json={"text": question.text})).raise_for_status()
        return await self._retriever.aretrieve(question, call)
