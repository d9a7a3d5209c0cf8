"""`kotae schemas export`."""

import json
from pathlib import Path

from streams.cli.main import run


def test_export_writes_schemas_with_the_configured_topics_and_prints_their_paths(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("KOTAE_KAFKA__TOPIC_PREFIX", "qa.")
    monkeypatch.setenv("KOTAE_KAFKA__PARTITIONS", "3")
    assert run(["schemas", "export", str(tmp_path / "out"), "--json"]) == 0
    paths = [Path(path) for path in json.loads(capsys.readouterr().out)]
    assert all(path.is_file() for path in paths)
    document = json.loads((tmp_path / "out" / "asyncapi.json").read_text("utf-8"))
    assert document["channels"]["questions"]["address"] == "qa.questions"
    assert document["channels"]["questions"]["bindings"]["kafka"]["partitions"] == 3


def test_a_directory_that_cannot_be_created_is_reported_in_one_line(tmp_path: Path, capsys) -> None:
    (tmp_path / "file").write_text("")
    assert run(["schemas", "export", str(tmp_path / "file" / "out")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("kotae: ")
    assert error.count("\n") == 1
    assert "name a writable directory" in error
