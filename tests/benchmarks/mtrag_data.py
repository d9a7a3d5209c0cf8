"""Reads questions, relevance and passages from a copy of IBM's mt-rag-benchmark repository."""

import subprocess
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson

from schemas.document import Document
from schemas.question import Turn

DOMAINS = ("clapnq", "cloud", "fiqa", "govt")

_QUOTING = (
    "mtragun-human/generation_tasks/reference.jsonl",
    "mtrag-human/generation_tasks/reference.jsonl",
    "mtrag-human/evaluations/reference_subset_with_human_evaluations.json",
)
"""Files that quote passages, whole, beside the questions that they answer."""
_TASKS_OF = {"cloud": "ibmcloud"}
"""How the later set names a domain, if otherwise."""
_ROLES = {"user": "user", "agent": "assistant"}


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of the repository: a folder of files, or the git directory of a mirror."""

    path: Path

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes; None if the copy lacks it."""
        if (file := self.path / name).is_file():
            return file.read_bytes()
        shown = subprocess.run(
            ["git", "-C", self.path, "show", f"HEAD:{name}"], capture_output=True, check=False
        )
        return None if shown.returncode else shown.stdout

    def lines(self, name: str) -> list[Any]:
        """Return the objects of a file of JSON lines; none if the copy lacks it."""
        return [orjson.loads(line) for line in (self.read(name) or b"").splitlines() if line.strip()]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A question with the turns before it; `rewritten` is empty where the data set has no such form."""

    id: str
    last: str
    history: Sequence[Turn]
    rewritten: str
    relevant: Set[str]


@dataclass(frozen=True, slots=True)
class Domain:
    """`whole`: the passages are the corpus, and not only those that tasks quote."""

    documents: Sequence[Document]
    conversations: Sequence[Conversation]
    whole: bool


def read_domain(copy: Copy, domain: str, name: str) -> Domain:
    """Read a domain of the set `mtrag` or `mtrag-un`: its questions whose relevant passages are there."""
    documents = _corpus(copy, domain)
    whole = documents is not None
    documents = documents if documents is not None else _quoted(copy)
    known = {document.id for document in documents}
    read = _first_set if name == "mtrag" else _second_set
    conversations = [each for each in read(copy, domain) if each.relevant and each.relevant <= known]
    return Domain(documents, conversations, whole)


def _corpus(copy: Copy, domain: str) -> list[Document] | None:
    packed = copy.read(f"corpora/passage_level/{domain}.jsonl.zip")
    if packed is None:
        return None
    with zipfile.ZipFile(BytesIO(packed)) as archive:
        lines = archive.read(archive.namelist()[0]).splitlines()
    return [_document(orjson.loads(line)) for line in lines]


def _quoted(copy: Copy) -> list[Document]:
    found: dict[str, Document] = {}
    for name in _QUOTING:
        if name.endswith(".jsonl"):
            passages: Iterator[Any] = (each for task in copy.lines(name) for each in task["contexts"])
        else:
            passages = iter(orjson.loads(copy.read(name) or b"{}").get("documents", ()))
        for passage in passages:
            if passage.get("text", "").strip():
                document = _document(passage)
                found.setdefault(document.id, document)
    return list(found.values())


def _document(passage: Mapping[str, Any]) -> Document:
    name = passage.get("_id") or passage.get("document_id") or passage["id"]
    return Document(id=name, title=passage.get("title") or "", text=passage["text"])


def _relevance(copy: Copy, name: str) -> dict[str, set[str]]:
    relevant: dict[str, set[str]] = defaultdict(set)
    for line in (copy.read(name) or b"").decode().splitlines()[1:]:
        question, passage, score = line.split("\t")
        if int(score) > 0:
            relevant[question].add(passage)
    return relevant


def _first_set(copy: Copy, domain: str) -> Iterator[Conversation]:
    """MTRAG: the turns of the user are all that its retrieval tasks tell of a conversation."""
    folder = f"mtrag-human/retrieval_tasks/{domain}"
    relevant = _relevance(copy, f"{folder}/qrels/dev.tsv")
    rewritten = {each["_id"]: _turns(each)[-1] for each in copy.lines(f"{folder}/{domain}_rewrite.jsonl")}
    for each in copy.lines(f"{folder}/{domain}_questions.jsonl"):
        *before, last = _turns(each)
        history = [Turn("user", text) for text in before]
        yield Conversation(
            each["_id"], last, history, rewritten.get(each["_id"], ""), relevant.get(each["_id"], set())
        )


def _turns(query: Mapping[str, str]) -> list[str]:
    return [turn.strip() for turn in query["text"].split("|user|:") if turn.strip()]


def _second_set(copy: Copy, domain: str) -> Iterator[Conversation]:
    """MTRAG-UN: whole conversations, with the answers, and no rewritten questions."""
    relevant = _relevance(copy, f"mtragun-human/retrieval_tasks/qrels/{domain}.tsv")
    for task in copy.lines(_QUOTING[0]):
        if task["Collection"] == _TASKS_OF.get(domain, domain):
            turns = [Turn(_ROLES[turn["speaker"]], turn["text"]) for turn in task["input"]]
            yield Conversation(
                task["task_id"], turns[-1].content, turns[:-1], "", relevant.get(task["task_id"], set())
            )
