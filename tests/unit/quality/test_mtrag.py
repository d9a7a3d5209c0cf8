"""MTRAG's files are read as its repository lays them out, and counted as pytrec_eval does."""

import zipfile
from pathlib import Path
from typing import Any

import orjson
import pytest

from schemas.question import Turn
from tests.benchmarks.mtrag import forms, measured
from tests.benchmarks.mtrag_data import Conversation, Copy, read_domain


def conversation(*relevant: str, rewritten: str = "") -> Conversation:
    return Conversation("c", "And now?", [Turn("user", "Then?")], rewritten, set(relevant))


def write(path: Path, *lines: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\n".join(orjson.dumps(line) for line in lines))


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    folder = tmp_path / "mtrag-human/retrieval_tasks/cloud"
    write(folder / "cloud_questions.jsonl", {"_id": "q<::>2", "text": "|user|: First?\n|user|: And then?"})
    write(folder / "cloud_rewrite.jsonl", {"_id": "q<::>2", "text": "|user|: What comes second?"})
    (folder / "qrels").mkdir()
    (folder / "qrels/dev.tsv").write_text("query-id\tcorpus-id\tscore\nq<::>2\tp1\t1\nq<::>2\tp2\t0\n")
    return Copy(tmp_path)


def test_without_the_corpus_the_quoted_passages_are_searched(copy: Copy) -> None:
    task = {
        "task_id": "t<::>2",
        "Collection": "ibmcloud",
        "contexts": [{"document_id": "p1", "text": "One."}, {"document_id": "p2", "text": " "}],
        "input": [
            {"speaker": "user", "text": "A?"},
            {"speaker": "agent", "text": "B."},
            {"speaker": "user", "text": "C?"},
        ],
    }
    write(copy.path / "mtragun-human/generation_tasks/reference.jsonl", task)
    (copy.path / "mtragun-human/retrieval_tasks/qrels").mkdir(parents=True)
    (copy.path / "mtragun-human/retrieval_tasks/qrels/cloud.tsv").write_text("q\tc\ts\nt<::>2\tp1\t1\n")

    first, second = (read_domain(copy, "cloud", name) for name in ("mtrag", "mtrag-un"))
    assert not first.whole
    assert [each.id for each in first.documents] == ["p1"]
    assert first.conversations == [
        Conversation("q<::>2", "And then?", [Turn("user", "First?")], "What comes second?", {"p1"})
    ]
    assert second.conversations == [
        Conversation("t<::>2", "C?", [Turn("user", "A?"), Turn("assistant", "B.")], "", {"p1"})
    ]


def test_the_corpus_is_read_where_it_is(copy: Copy) -> None:
    packed = copy.path / "corpora/passage_level/cloud.jsonl.zip"
    packed.parent.mkdir(parents=True)
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("cloud.jsonl", orjson.dumps({"_id": "p1", "title": "T", "text": "One."}))
    domain = read_domain(copy, "cloud", "mtrag")
    assert domain.whole
    assert [(each.id, each.title) for each in domain.documents] == [("p1", "T")]


def test_a_question_without_its_passages_is_left_out(copy: Copy) -> None:
    assert read_domain(copy, "cloud", "mtrag").conversations == []


def test_recall_and_gain_are_means_over_the_questions() -> None:
    one = measured([conversation("a")], [["x", "a"]])
    assert one.recall == 1.0
    assert one.ndcg == pytest.approx(0.6309, abs=1e-4)
    two = measured([conversation("a", "b"), conversation("c")], [["a", "x"], ["x"]])
    assert two.recall == 0.25
    assert two.ndcg == pytest.approx(0.5 / (1 + 0.6309), abs=1e-3)


def test_forms_without_questions_are_left_out() -> None:
    assert list(forms([conversation("a")])) == ["last turn", "last turn with history"]
    assert list(forms([conversation("a", rewritten="What now?")])) == [
        "last turn",
        "last turn with history",
        "rewritten",
    ]
