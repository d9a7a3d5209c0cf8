"""The documents as a site: `make docs`; a test builds it too.

The site's pages keep the folders of the repository, so that one link serves on GitHub and on the site.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "docs"
FILES = ("README.md", "REFERENCE.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")


def documents() -> list[Path]:
    """Every document of the site."""
    return [*(ROOT / name for name in FILES), *sorted((ROOT / "docs").glob("*.md"))]


def build(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Build the site into `folder`/site, strictly: a warning fails it."""
    pages = folder / "pages"
    shutil.rmtree(folder, ignore_errors=True)
    for document in documents():
        page = pages / document.relative_to(ROOT)
        page.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(document, page)
    shutil.copyfile(ROOT / "docs" / "zensical.toml", folder / "zensical.toml")
    return subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


if __name__ == "__main__":
    done = build(BUILD)
    print(done.stdout, done.stderr, sep="", end="")
    if done.returncode == 0:
        print(f"the site is in {BUILD.relative_to(ROOT)}/site")
    sys.exit(done.returncode)
