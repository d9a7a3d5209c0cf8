"""Finds Java for the local broker, and lets Maven resolve its jars once, into a cache."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from streams.process.processes import run_to_end
from streams.settings.errors import OperatorError

JAVA_AT_LEAST = 17
_ALTERNATIVE = "or name your cluster in KOTAE_KAFKA__BOOTSTRAP_SERVERS"


def pom_path() -> Path:
    """Return the path of the pom that names the jars: beside this module in a wheel, else in compose/."""
    here = Path(__file__).resolve()
    packaged = here.parent / "kafka" / "pom.xml"
    return packaged if packaged.is_file() else here.parents[2] / "compose" / "kafka" / "pom.xml"


def kafka_version(pom: Path) -> str:
    """Return the version of Kafka in the pom."""
    found = ElementTree.parse(pom).findtext(  # noqa: S314 - the file is our own
        "{*}properties/{*}kafka.version"
    )
    if not found:
        raise OperatorError(f"{pom} names no kafka.version")
    return found


def cache_root() -> Path:
    """Return the directory of the jars: `$XDG_CACHE_HOME/kotae`, by default `~/.cache/kotae`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "kotae"


def can_run_kafka() -> bool:
    """Whether there is a Java, and the jars or a Maven; `find_java` refuses a Java that is too old."""
    jars = cache_root() / f"kafka-{kafka_version(pom_path())}"
    return _java() is not None and (jars.is_dir() or shutil.which("mvn") is not None)


def _java() -> str | None:
    home = os.environ.get("JAVA_HOME", "")
    java = shutil.which(str(Path(home) / "bin" / "java")) if home else None
    return java or shutil.which("java")


async def find_java() -> str:
    """Return the Java to run, from `JAVA_HOME` or `PATH`.

    Raises:
        OperatorError: there is no Java, or it is too old.
    """
    java = _java()
    if java is None:
        raise OperatorError(
            f"no Java was found, and the local broker needs {JAVA_AT_LEAST} or newer: install one (Debian: "
            f"apt install openjdk-17-jre-headless; macOS: brew install openjdk), {_ALTERNATIVE}"
        )
    with tempfile.TemporaryFile() as output:
        await run_to_end([java, "-version"], output=output)
        output.seek(0)
        banner = output.read().decode(errors="replace")
    version = re.search(r'version "(?:1\.)?(\d+)', banner)
    if version is None or int(version[1]) < JAVA_AT_LEAST:
        found = version[1] if version else "unknown"
        raise OperatorError(
            f"{java} is Java {found}, and the local broker needs {JAVA_AT_LEAST} or newer: install one and "
            f"put it first in PATH or in JAVA_HOME, {_ALTERNATIVE}"
        )
    return java


async def resolve_jars(cache: Path | None = None, say: Callable[[str], None] = lambda _: None) -> Path:
    """Return the directory of Kafka's jars; Maven runs only if the cache does not hold them yet.

    Several processes may do this at once: each resolves into its own directory, and the first to rename it
    wins.

    Raises:
        OperatorError: Maven is missing or failed.
    """
    pom = pom_path()
    version = kafka_version(pom)
    root = cache if cache is not None else cache_root()
    jars = root / f"kafka-{version}"
    if jars.is_dir():
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise OperatorError(
            "Maven (mvn) was not found, and it fetches the local broker's jars: install it (Debian: "
            f"apt install maven; macOS: brew install maven), {_ALTERNATIVE}"
        )
    say(f"fetching Apache Kafka {version} with Maven into {jars} (once) …")
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix="resolving-") as name:
        work = Path(name)
        shutil.copy(pom, work / "pom.xml")
        command = [maven, "-B", "-ntp", "dependency:copy-dependencies"]
        command += ["-DincludeScope=runtime", f"-DoutputDirectory={work / 'jars'}"]
        with (work / "maven.log").open("w+b") as output:
            if await run_to_end(command, output=output, directory=work):
                output.seek(0)
                raise OperatorError(f"Maven could not fetch Kafka: {_maven_error(output.read().decode())}")
        with contextlib.suppress(OSError):  # another process was quicker: its jars are the same
            (work / "jars").rename(jars)
    return jars


def _maven_error(log: str) -> str:
    errors = [line.removeprefix("[ERROR]").strip() for line in log.splitlines() if line.startswith("[ERROR]")]
    return errors[0] if errors else (log.strip().splitlines() or ["it wrote nothing"])[-1]
