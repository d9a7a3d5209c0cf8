"""Data sets in SQuAD's format are read, in one language or with the questions of another."""

from pathlib import Path

import orjson

from tests.benchmarks.quality import recall, told
from tests.benchmarks.squad import Asking, read_squad


def written(path: Path, *questions: tuple[str, str]) -> Path:
    entries = [{"id": name, "question": text, "answers": [{"text": "blue"}]} for name, text in questions]
    unanswered = {"id": "none", "question": "?", "answers": []}
    paragraph = {"context": "The sky is blue.", "qas": [*entries, unanswered]}
    path.write_bytes(orjson.dumps({"data": [{"title": "The_sky", "paragraphs": [paragraph]}]}))
    return path


def test_paragraphs_become_documents_and_questions_without_answers_are_left_out(tmp_path: Path) -> None:
    documents, askings = read_squad(written(tmp_path / "en.json", ("1", "Colour?"), ("2", "Hue?")))
    assert [(each.id, each.title) for each in documents] == [("paragraph-0", "The sky")]
    assert askings == [Asking("Colour?", ["blue"], "paragraph-0"), Asking("Hue?", ["blue"], "paragraph-0")]


def test_the_questions_of_another_language_are_found_by_their_ids(tmp_path: Path) -> None:
    english = written(tmp_path / "en.json", ("1", "Colour?"), ("2", "Hue?"))
    german = written(tmp_path / "de.json", ("2", "Farbton?"))
    assert read_squad(english, questions=german)[1] == [Asking("Farbton?", ["blue"], "paragraph-0")]


def test_recall_counts_the_first_and_the_first_five() -> None:
    asking = Asking("?", ["x"], "b")
    assert recall([asking, asking], [["b"], ["a", "b"]]) == {"recall@1": 0.5, "recall@5": 1.0}
    assert recall([asking], [["a", "c", "d", "e", "f", "b"]])["recall@5"] == 0.0


def test_peers_have_a_line_each() -> None:
    assert "Haystack BM25  recall@1 0.9" in told(
        {"questions": 1, "peers": {"Haystack BM25": {"recall@1": 0.9}}}
    )
