"""A package that hides one of ours is named in one line, in a child process with a real one in front."""

import os
import shutil
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from streams.cli import own_packages
from streams.cli.own_packages import NAMES, hidden_package

ROOT = Path(__file__).parents[3]
MAIN = ["-c", "from streams.cli.main import main; main()"]
MODULE = ["-m", "streams"]
BROKEN = "raise ImportError('this package needs another library')\n"
WELL = "class Agent: ...\n"


def package(folder: Path, name: str, source: str, *, distribution: str = "") -> Path:
    """Write a foreign package, installed as a distribution if one is named."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "__init__.py").write_text(source)
    if distribution:
        info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "RECORD").write_text(f"{name}/__init__.py,,\n{info.name}/METADATA,,\n{info.name}/RECORD,,\n")
    return folder


def kotae(cwd: Path, *arguments: str, path: list[Path]) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environ, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("start", [MAIN, MODULE], ids=["script", "module"])
@pytest.mark.parametrize("source", [BROKEN, WELL], ids=["broken", "well"])
@pytest.mark.parametrize("name", NAMES)
def test_a_distribution_that_hides_ours_is_named_in_one_line(
    tmp_path: Path, name: str, source: str, start: list[str]
) -> None:
    site = package(tmp_path / "site", name, source, distribution=f"openai-{name}")
    done = kotae(tmp_path, *start, "schemas", "export", str(tmp_path / "out"), path=[site, ROOT])
    assert done.returncode == 1
    assert done.stderr == (
        f"kotae: the package openai-{name} ({site / name}) hides Kotae's own package `{name}`: "
        "install kotae in an environment of its own\n"
    )
    assert done.stdout == ""


def test_a_distribution_that_was_installed_over_ours_is_named(tmp_path: Path) -> None:
    site = tmp_path / "site"
    for name in ("streams", *NAMES):
        shutil.copytree(ROOT / name, site / name, ignore=shutil.ignore_patterns("__pycache__"))
    package(site, "agents", BROKEN, distribution="openai-agents")
    done = kotae(tmp_path, *MODULE, "--help", path=[site])
    assert done.returncode == 1
    assert done.stderr.startswith(f"kotae: the package openai-agents ({site / 'agents'}) hides")


@pytest.mark.parametrize("left", ["a folder", "a module"])
def test_something_that_no_distribution_installed_is_named_by_its_place(tmp_path: Path, left: str) -> None:
    place = tmp_path / "agents"
    if left == "a module":
        place = tmp_path / "agents.py"
        place.write_text(WELL)
    else:
        package(tmp_path, "agents", WELL)
    done = kotae(tmp_path, *MODULE, "--version", path=[ROOT])
    assert done.returncode == 1
    assert done.stderr.startswith(f"kotae: {place} hides Kotae's own package `agents`: install kotae in")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (None, "Kotae's own package `agents` is missing: install kotae again"),
        (ModuleSpec("agents", None, is_package=True), "agents hides Kotae's own package `agents`"),
    ],
    ids=["missing", "without its init"],
)
def test_a_package_that_was_removed_is_named(
    monkeypatch: pytest.MonkeyPatch, spec: ModuleSpec | None, told: str
) -> None:
    monkeypatch.setattr(own_packages, "find_spec", lambda _: spec)
    assert hidden_package().startswith(told)


def test_our_own_packages_are_recognised() -> None:
    assert hidden_package() == ""
