"""Vectors that are made later: what is the text's fault, and what the server's."""

from collections.abc import Sequence

import pytest

from agents.errors import BadOutputError, DependencyError, TransientError, error_of_status
from agents.knowledge.vectors import CONTROL_TEXT, Bare, RefusedTextError, aembed_document, aembed_due


class Scripted:
    """Embeds a text as its length; fails for requests that hold a word, or as told for one after another."""

    model = "scripted"

    def __init__(self, refuses: dict[str, int] | None = None, most: int = 99) -> None:
        self.refuses = refuses or {}
        self.most = most
        self.controls: list[int] = []
        """The statuses of the next requests for the control text; then 200."""
        self.requests: list[list[str]] = []

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        self.requests.append(list(texts))
        status = 413 if len(texts) > self.most else 200
        if list(texts) == [CONTROL_TEXT] and self.controls:
            status = self.controls.pop(0)
        for word, code in self.refuses.items():
            if any(word in text for text in texts):
                status = code
        if status != 200:
            raise error_of_status("embeddings", f"HTTP {status}", status)
        return [[float(len(text))] for text in texts]

    async def aembed_search(self, text: str) -> list[float]:
        raise NotImplementedError


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_text_refused_between_two_control_texts_is_at_fault(status: int) -> None:
    embeddings = Scripted({"poison": status})
    with pytest.raises(RefusedTextError, match=str(status)):
        await aembed_document(embeddings, ["one", "poison", "two"])
    assert embeddings.requests[-3:] == [[CONTROL_TEXT], ["poison"], [CONTROL_TEXT]]


@pytest.mark.parametrize("status", [401, 403, 404, 409, 429, 500, 502, 503])
async def test_another_status_is_never_a_texts_fault(status: int) -> None:
    with pytest.raises(DependencyError) as failure:
        await aembed_document(Scripted({"poison": status}), ["poison"])
    assert not isinstance(failure.value, RefusedTextError)


@pytest.mark.parametrize("controls", [[400], [200, 400], [200, 401], [503]])
async def test_a_refusal_while_the_control_text_fails_is_the_servers_trouble(controls: list[int]) -> None:
    embeddings = Scripted({"poison": 400})
    embeddings.controls = controls
    with pytest.raises(DependencyError) as failure:
        await aembed_document(embeddings, ["poison"])
    assert not isinstance(failure.value, RefusedTextError)


async def test_a_server_that_takes_fewer_texts_at_once_gets_them_one_by_one() -> None:
    assert await aembed_document(Scripted(most=1), ["a", "bb", "ccc"]) == [[1.0], [2.0], [3.0]]


class Due:
    """Documents in memory; each is its only chunk's text."""

    def __init__(self, *texts: str) -> None:
        self.due = list(texts)
        self.kept: dict[str, Sequence[list[float]]] = {}
        self.refused: list[str] = []

    async def apage(self, after: str | None) -> tuple[Sequence[Bare], str | None]:
        at = int(after or 0)
        found = [Bare("default", text, "v", {text: text}) for text in self.due[at : at + 2]]
        return found, str(at + 2) if at + 2 < len(self.due) else None

    async def akeep(self, bare: Bare, vectors: Sequence[list[float]]) -> None:
        self.kept[bare.document_id] = vectors

    async def arefused(self, bare: Bare) -> None:
        self.refused.append(bare.document_id)


async def test_one_document_that_the_server_cannot_embed_does_not_hold_up_the_others() -> None:
    documents = Due("a", "overlong", "b", "poison", "c")
    embeddings = Scripted({"overlong": 500, "poison": 400})
    refusals = await aembed_due(documents, embeddings)
    assert [refusal.document_id for refusal in refusals] == documents.refused == ["poison"]
    assert sorted(documents.kept) == ["a", "b", "c"]
    documents.due = ["overlong"]
    with pytest.raises(TransientError):
        await aembed_due(documents, embeddings)


async def test_a_server_that_is_away_is_not_asked_for_every_document() -> None:
    documents = Due(*"abcdef")
    embeddings = Scripted(dict.fromkeys("abcdef", 401))
    embeddings.controls = [401]
    with pytest.raises(DependencyError, match="401"):
        await aembed_due(documents, embeddings)
    assert len(embeddings.requests) == 2
    assert not documents.refused


async def test_output_that_cannot_be_read_is_no_texts_fault() -> None:
    class Broken(Scripted):
        async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
            raise BadOutputError("embeddings", "not a list of embeddings")

    with pytest.raises(BadOutputError):
        await aembed_document(Broken(), ["a"])
