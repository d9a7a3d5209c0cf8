"""Names that dashboards, deployments and probes depend on stay as in `tests/golden/names.json`."""

import json
from pathlib import Path
from typing import Any

import msgspec

from streams.settings.model import Settings
from streams.telemetry.catalogue import CATALOGUE
from tests.architecture.state_fields import STATE_FIELDS

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden/names.json").read_text("utf-8"))


def test_every_metric_keeps_its_name_kind_and_labels() -> None:
    names = {metric.name: [metric.kind, *metric.labels] for metric in CATALOGUE}
    assert names == GOLDEN["metrics"]


def test_every_setting_keeps_its_name() -> None:
    sections = {section.name: section.type for section in msgspec.structs.fields(Settings)}
    del sections["tools"]  # a table whose keys are the names of tools
    names = {name: sorted(kind.__struct_fields__) for name, kind in sections.items()}
    assert names == GOLDEN["settings"]


def test_every_field_of_the_state_has_a_meaning() -> None:
    assert list(STATE_FIELDS) == GOLDEN["state"]
