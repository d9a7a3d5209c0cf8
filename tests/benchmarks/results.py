"""The results of one run of the benchmarks."""

from typing import Any

import msgspec

from tests.benchmarks.figures import Row
from tests.benchmarks.scaling import Depth, Start
from tests.benchmarks.seed import CacheGain, Gain


class Results(msgspec.Struct, kw_only=True):
    """All results of a run; parts that were not measured are empty. Rows are medians, except in rounds.

    Attributes:
        length: how long and how often everything was measured, in the report's words.
        rounds: the rounds of `compared`; `depths` has those of `in_flight`, `others` all other ones, by part.
        failed: the parts that failed, and why; `missing` has the contenders that failed.
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
