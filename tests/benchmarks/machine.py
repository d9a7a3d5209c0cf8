"""The facts of the machine on which the figures were measured."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "kotae",
    "aiokafka",
    "aiohttp",
    "msgspec",
    "orjson",
    "qdrant-edge-py",
    "faststream",
    "faststream-concurrent-aiokafka",
    "faust-streaming",
    "locust",
    "uvloop",
)


def facts() -> dict[str, Any]:
    """CPU, memory, load before the run, versions, commit."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _of_proc("cpuinfo", "model name") or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": _gib(_of_proc("meminfo", "MemTotal")),
        "load_before": os.getloadavg(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "commit": _commit(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _of_proc(file: str, field: str) -> str:
    for line in Path("/proc", file).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == field:
            return value.strip()
    return ""


def _gib(found: str) -> str:
    """A figure of /proc in kB, which are 1,024 bytes."""
    size = found.removesuffix(" kB")
    return f"{int(size) / 1024**2:.1f} GiB" if size.isdecimal() else found


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    try:
        command = ["git", "describe", "--always", "--dirty"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
