"""CPU of a question by package: `python -m tests.benchmarks.profiling [--contender floor] [--workload w2]`.

py-spy samples the stack of a contender under load a hundred times a second, without stopping it. A sample
counts for the package of the innermost Python function, with the C code that this called: aiohttp's parser
for aiohttp, Qdrant's engine for `agents/knowledge/shard.py`, the garbage collector for the function that it
interrupted. `--raw FILE` keeps the stacks, one a line with its count, in the format for flame graphs.
"""

import argparse
import asyncio
import logging
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.benchmarks.contenders import CONTENDERS, Contender
from tests.benchmarks.event_loop import run
from tests.benchmarks.rig import W1, W2, Rig, Workload

RATE = 100
"""Samples a second."""
OWNERS = {
    "aiokafka": "aiokafka",
    "aiohttp": "HTTP client",
    "multidict": "HTTP client",
    "yarl": "HTTP client",
    "asyncio": "asyncio",
    "selectors.py": "asyncio",
    "tests/benchmarks": "the contender itself",
}
_FILE = re.compile(r"\(([^()]+?)(?::\d+)?\)$")
_OURS = re.compile(r"(?:^|/)((?:agents|streams|schemas)/[\w/]+\.py)$")


def owner(stack: str) -> str:
    """The package that a stack counts for: `function (file:line);…`, outermost first."""
    for frame in reversed(stack.split(";")):
        found = _FILE.search(frame)
        file = found[1] if found else ""
        if ours := _OURS.search(file):
            return ours[1]
        for part, name in OWNERS.items():
            if part in file:
                return name
    return "the rest"


def owners(lines: Iterable[str]) -> Counter[str]:
    """Samples by package, of the event loop's thread."""
    found: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        if "_run_once" in stack:
            found[owner(stack)] += int(count)
    return found


async def sample(
    rig: Rig, contender: Contender, workload: Workload, users: int, seconds: float, raw: Path
) -> dict[str, float]:
    """CPU milliseconds a question by package, the largest first."""
    async with rig.running(contender, workload) as running, running.load() as load:
        measuring = asyncio.create_task(running.measure(load, users, seconds + 2, warm_up_s=3.0))
        await asyncio.sleep(4.0)
        arguments = ["--pid", str(running.program.pid), "--duration", str(int(seconds)), "--rate", str(RATE)]
        spy = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("py-spy")),
            *("record", "--nonblocking", "--format", "raw", "--output", str(raw), *arguments),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await spy.wait()
        measured = await measuring
    cpu_ms = measured.cpu_s["worker"] * 1000 / measured.questions
    found = owners((await asyncio.to_thread(raw.read_text)).splitlines())
    return {name: cpu_ms * count / found.total() for name, count in found.most_common()}


async def main(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        raw = options.raw or Path(folder) / "stacks.txt"
        async with Rig(Path(folder)) as rig:
            workload = {"w1": W1, "w2": W2}[options.workload]
            contender = CONTENDERS[options.contender]
            found = await sample(rig, contender, workload, options.users, options.seconds, raw)
    total = sum(found.values())
    print(f"{options.contender}, {options.workload}, {options.users} users: {total:.3f} ms a question")
    for name, spent in found.items():
        print(f"{spent:8.3f} ms {spent / total:6.1%}  {name}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--contender", choices=CONTENDERS, default="kotae")
    parser.add_argument("--workload", choices=("w1", "w2"), default="w1")
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--raw", type=Path)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    run(main(parser.parse_args()))
