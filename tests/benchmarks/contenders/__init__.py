"""Programs that do the same work on the same topics, each on its own framework.

Each is run as `python -m tests.benchmarks.contenders.NAME`, reads the environment that `kotae worker`
reads and `BENCH_*` (see `work`), and prints `ready`. They are written as the framework's own
documentation recommends; all of them share the code that answers one question.
"""

from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

UNGUARDED = {
    f"KOTAE_RESILIENCE__{name}": "false"
    for name in ("BREAKERS", "RETRIES", "HEDGING", "ADAPTIVE_CONCURRENCY")
}


@dataclass(frozen=True, slots=True)
class Contender:
    """A program under the load: a module of this package, or the worker itself.

    Attributes:
        package: the distribution under test, whose version is reported.
        module: the module that `python -m` runs; empty: `kotae worker`.
        settings: variables added to its environment.
        note: a remark for readers of its figures.
    """

    package: str
    module: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def installed(self) -> str:
        """Its version; empty if it is not installed."""
        try:
            return version(self.package)
        except PackageNotFoundError:
            return ""


def _program(name: str) -> str:
    return f"{__name__}.{name}"


CONTENDERS = {
    "floor": Contender("aiokafka", _program("floor"), note="no guards, no order, no commits"),
    "floor-tuned": Contender(
        "aiokafka", _program("floor"), {"BENCH_TUNED": "1"}, "the floor with the collector tuned as Kotae's"
    ),
    "sequential": Contender(
        "aiokafka", _program("floor"), {"BENCH_SEQUENTIAL": "1"}, "the floor, one stage after another"
    ),
    "faststream": Contender(
        "faststream", _program("faststream_workers"), note="500 workers; acks first: loses on a crash"
    ),
    "faststream-concurrent": Contender(
        "faststream-concurrent-aiokafka",
        _program("faststream_concurrent"),
        note="500 at once; commits in batches",
    ),
    "faust": Contender(
        "faust-streaming", _program("faust_agents"), note="500 agents; acks out of order: loses on a crash"
    ),
    "kotae": Contender("kotae", note="every guard on"),
    "kotae-unguarded": Contender("kotae", "", UNGUARDED, "breakers, retries, hedging, limits off"),
}
