"""Everything that one run of the benchmarks has found."""

from typing import Any

import msgspec

from tests.benchmarks.figures import Row
from tests.benchmarks.scaling import Depth, Start
from tests.benchmarks.seed import CacheGain, Gain


class Results(msgspec.Struct, kw_only=True):
    """What was not measured is empty. Rows are medians, save those of rounds.

    Attributes:
        length: how long and how often everything was measured, as the report says it.
        rounds: of `compared`; `depths` of `in_flight`, `others` of what else has rounds, by part.
        failed: what could not be measured, and why; of the contenders, `missing` says it.
    """

    machine: dict[str, Any]
    command: str
    length: str
    rounds: list[Row] = msgspec.field(default_factory=list)
    others: dict[str, list[Row]] = msgspec.field(default_factory=dict)
    depths: list[Depth] = msgspec.field(default_factory=list)
    failed: dict[str, str] = msgspec.field(default_factory=dict)
    compared: list[Row] = msgspec.field(default_factory=list)
    missing: dict[str, str] = msgspec.field(default_factory=dict)
    seed: list[Row] = msgspec.field(default_factory=list)
    gains: list[Gain] = msgspec.field(default_factory=list)
    cache: CacheGain | None = None
    in_flight: list[Depth] = msgspec.field(default_factory=list)
    start: Start | None = None
    processes: list[Row] = msgspec.field(default_factory=list)
    engine_us: dict[str, float] = msgspec.field(default_factory=dict)
    open_offsets: Any = None
