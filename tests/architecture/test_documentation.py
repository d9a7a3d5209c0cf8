"""The documents describe the code as it is: the drawing of the house, the libraries, the reference."""

import itertools
import re
import tomllib
from pathlib import Path

import click
import pytest

from streams.cli.main import kotae
from tests.architecture import reference

ROOT = Path(__file__).parents[2]
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
HOUSES = ("streams", "agents", "schemas")


def drawing(house: str) -> list[str]:
    """The lines of a house in the drawing, without its name."""
    picture = ARCHITECTURE.partition("\n## The house")[2].partition("\n## ")[0]
    lines = picture.partition(f"\n    {house}/\n")[2].splitlines()
    return list(itertools.takewhile(lambda line: not line or line.startswith("      "), lines))


def floors(house: str) -> list[dict[str, str]]:
    """Its floors, the upper ones first: each entry's name at the front, to the entry's text."""
    found: list[dict[str, str]] = [{}]
    front = ""
    for line in filter(str.strip, drawing(house)):
        if line.startswith("      --"):
            found.append({})
            continue
        if line[6] != " ":
            front = line.split()[0]
        found[-1][front] = f"{found[-1].get(front, '')} {line}"
    return found


def rooms(house: str) -> dict[str, str]:
    """All entries of its floors together."""
    return {front: text for entries in floors(house) for front, text in entries.items()}


def stems(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


@pytest.mark.parametrize("name", HOUSES)
def test_every_module_is_in_the_picture(name: str) -> None:
    entries = rooms(name)
    packages = {path.parent.name: path.parent for path in (ROOT / name).glob("*/__init__.py")}
    outside = " ".join(text for front, text in entries.items() if front.rstrip("/") not in packages)
    assert stems(ROOT / name) <= words(outside)
    assert {f"{package}/" for package in packages} <= set(entries)
    for package, folder in packages.items():
        inside = stems(folder) | {path.parent.name for path in folder.glob("*/__init__.py")}
        if package == "cli":  # one file a command
            inside -= {command.replace("-", "_") for command in kotae.list_commands(click.Context(kotae))}
        assert inside <= words(entries[f"{package}/"]), package


@pytest.mark.parametrize("name", HOUSES)
def test_everything_in_the_picture_exists(name: str) -> None:
    there = {path.stem for path in (ROOT / name).rglob("*.py")} | {
        path.name for path in (ROOT / name).iterdir()
    }
    for front, text in rooms(name).items():
        assert front.endswith(("/", ".py", ",")), front
        named = re.findall(r"\b\w+\.py\b|\b[a-z]+_[a-z_]+\b", text)
        assert {each.removesuffix(".py") for each in [*named, front.rstrip("/,")]} <= there, front


@pytest.mark.parametrize("name", ["streams", "agents"])
def test_the_linter_enforces_the_floors_that_are_drawn(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    [contract] = [
        contract
        for contract in project["tool"]["importlinter"]["contracts"]
        if contract.get("containers") == [name]
    ]
    assert contract["type"] == "layers"
    assert contract["exhaustive"]
    enforced = [set(layer.split(" | ")) for layer in contract["layers"]]
    assert enforced == [{front.rstrip("/").removesuffix(".py") for front in floor} for floor in floors(name)]


def test_every_library_has_a_row_in_the_table_of_libraries() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    table = ARCHITECTURE.partition("\n## Libraries")[2].partition("\n## ")[0].lower()
    named = {"redis": "redis-py"}
    extras = [line for extra in project["optional-dependencies"].values() for line in extra]
    for line in [*project["dependencies"], *extras]:
        library = re.match(r"[\w-]+", line)
        assert library
        assert named.get(library[0], library[0]) in table, library[0]


def test_the_reference_is_generated_from_the_code() -> None:
    assert reference.FILE.read_text("utf-8") == reference.render(), "make reference"
