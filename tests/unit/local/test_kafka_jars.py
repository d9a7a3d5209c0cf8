"""The local broker's Java and jars: found, resolved, or named in an error."""

import asyncio
import os
import stat
from pathlib import Path

import pytest

from streams.local import kafka_jars
from streams.local.kafka_jars import can_run_kafka, find_java, kafka_version, pom_path, resolve_jars
from streams.settings.errors import OperatorError
from tests.support.system import eventually

ALTERNATIVE = "KOTAE_KAFKA__BOOTSTRAP_SERVERS"


def program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a test's fake programs, found before the system's basic ones."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "mkdir", "touch", "sleep"):
        found = next(Path(p) / name for p in ("/bin", "/usr/bin") if (Path(p) / name).exists())
        (folder / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return folder


@pytest.fixture
def maven(bin_folder: Path) -> Path:
    """A fake Maven that notes each run, is slow, and writes one jar to its output folder."""
    return program(
        bin_folder,
        "mvn",
        f"""echo run >> {bin_folder}/runs
for argument; do case $argument in -DoutputDirectory=*) out=${{argument#*=}};; esac; done
sleep 0.1; mkdir -p $out; touch $out/kafka.jar""",
    )


def runs(bin_folder: Path) -> int:
    return len((bin_folder / "runs").read_text().splitlines())


async def test_without_java_the_error_says_so(bin_folder: Path) -> None:
    with pytest.raises(OperatorError, match=rf"no Java was found.*17.*{ALTERNATIVE}"):
        await find_java()


@pytest.mark.parametrize(
    ("banner", "major"), [('openjdk version "11.0.2"', "11"), ('java version "1.8.0_292"', "8")]
)
async def test_an_old_java_is_refused(bin_folder: Path, banner: str, major: str) -> None:
    program(bin_folder, "java", f"echo '{banner}' >&2")
    with pytest.raises(OperatorError, match=rf"is Java {major}, .*17 or newer.*{ALTERNATIVE}"):
        await find_java()


@pytest.mark.parametrize(
    "banner", ['openjdk version "17.0.15" 2025-04-15', 'openjdk version "25" 2025-09-16']
)
async def test_a_new_enough_java_is_found(bin_folder: Path, banner: str) -> None:
    java = program(bin_folder, "java", f"echo '{banner}' >&2")
    assert await find_java() == str(java)


async def test_java_home_comes_first(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(bin_folder, "java", "echo 'version \"8\"' >&2")
    java = program(tmp_path / "jdk" / "bin", "java", "echo 'version \"21.0.1\"' >&2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    assert await find_java() == str(java)


def test_kafka_can_run_with_a_java_and_the_jars_or_maven(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    program(bin_folder, "mvn", "exit 1")
    assert not can_run_kafka()
    program(bin_folder, "java", "exit 1")
    assert can_run_kafka()
    (bin_folder / "mvn").unlink()
    assert not can_run_kafka()
    (tmp_path / "kotae" / f"kafka-{kafka_version(pom_path())}").mkdir(parents=True)
    assert can_run_kafka()


async def test_without_maven_the_error_says_so(bin_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=rf"Maven \(mvn\) was not found.*{ALTERNATIVE}"):
        await resolve_jars(tmp_path / "cache")


async def test_jars_are_resolved_once(maven: Path, bin_folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    first = await resolve_jars(tmp_path / "cache", said.append)
    second = await resolve_jars(tmp_path / "cache", said.append)
    assert first == second == tmp_path / "cache" / f"kafka-{kafka_version(pom_path())}"
    assert [path.name for path in first.iterdir()] == ["kafka.jar"]
    assert runs(bin_folder) == len(said) == 1


async def test_concurrent_resolutions_leave_one_cache(maven: Path, bin_folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    found = await asyncio.gather(*(resolve_jars(cache) for _ in range(3)))
    assert len(set(found)) == 1
    assert [path.name for path in cache.iterdir()] == [found[0].name]
    assert [path.name for path in found[0].iterdir()] == ["kafka.jar"]


async def test_a_maven_that_fails_leaves_nothing_and_is_quoted(bin_folder: Path, tmp_path: Path) -> None:
    program(bin_folder, "mvn", "echo '[INFO] hello'; echo '[ERROR] no route to host'; exit 1")
    with pytest.raises(OperatorError, match="could not fetch Kafka: no route to host"):
        await resolve_jars(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


async def test_a_maven_that_is_interrupted_ends_and_leaves_nothing(bin_folder: Path, tmp_path: Path) -> None:
    program(bin_folder, "mvn", f"echo $$ > {tmp_path}/pid; exec sleep 60")
    task = asyncio.create_task(resolve_jars(tmp_path / "cache"))
    pid_file = tmp_path / "pid"
    await eventually(lambda: pid_file.exists() and pid_file.read_text().strip(), 10, "Maven has started")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_cache_follows_the_xdg_convention(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert kafka_jars.cache_root() == tmp_path / "kotae"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert kafka_jars.cache_root() == Path("/home/somebody/.cache/kotae")


def test_the_pom_names_no_repository_and_pins_what_it_uses() -> None:
    pom = pom_path().read_text()
    assert "epository>" not in pom
    assert kafka_version(pom_path()) == "4.3.0"
    assert pom.count("<artifactId>") == pom.count("<version>")
    assert "SNAPSHOT" not in pom
