"""The links of the documents lead somewhere, the names in them exist, and they become a site."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from schemas.headers import QUESTION_DIGEST
from schemas.topics import Topics
from streams.settings.model import Settings
from tests.architecture import reference, site
from tests.support.markdown import anchors, blocks, code_spans, links

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
DOCUMENTS = [*site.documents(), ROOT / "tests/acceptance/released/README.md"]
BY_NAME = {"ids": lambda path: path.relative_to(ROOT).as_posix()}
README_LINES = 150
VALUES = {"SASL_SSL", "SASL_PLAINTEXT"}
"""Code that looks like a setting, and is a value of one."""


def problem_of(link: str, document: Path) -> str:
    """Why a link leads nowhere; "": it leads somewhere, or out of the repository."""
    if re.match(r"[a-z]+:", link):
        return ""
    name, _, anchor = link.partition("#")
    target = (document.parent / name).resolve() if name else document
    if not target.exists():
        return f"{link}: there is no {name}"
    return f"{link}: no such heading" if anchor and anchor not in anchors(target) else ""


@pytest.mark.parametrize("document", DOCUMENTS, **BY_NAME)
def test_every_link_leads_somewhere(document: Path) -> None:
    assert [problem for link in links(document) if (problem := problem_of(link, document))] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in links(ROOT / "README.md")}
    assert set(PAGES) <= linked


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    text = (ROOT / "docs/zensical.toml").read_text("utf-8")
    listed = re.findall(r'"([^"]+\.md)"', str(tomllib.loads(text)["project"]["nav"]).replace("'", '"'))
    assert sorted(listed) == sorted(path.relative_to(ROOT).as_posix() for path in site.documents())


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= README_LINES


def test_the_site_is_built_without_a_warning_and_asks_no_other_host(tmp_path: Path) -> None:
    done = site.build(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(PAGES)
    for page in pages:
        text = page.read_text("utf-8")
        assert not re.findall(r'<(?:script|img|iframe)\b[^>]*\bsrc="?(?:https?:)?//', text), page
        assert not re.findall(r'<link\b[^>]*\bhref="?(?:https?:)?//', text), page


@pytest.mark.parametrize("document", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES], **BY_NAME)
def test_every_block_of_code_says_its_language(document: Path) -> None:
    assert [str(block) for block in blocks(document) if not block.language] == []


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if path.name != "REFERENCE.md"], **BY_NAME)
def test_settings_and_metrics_named_in_the_documents_exist(document: Path) -> None:
    known = {QUESTION_DIGEST, *re.findall(r"(?<=`)(?:KOTAE|kotae)_\w+(?=`)", reference.render())}
    tests_own = set(re.findall(r"KOTAE_TEST_\w+", (ROOT / "CONTRIBUTING.md").read_text("utf-8")))
    text = document.read_text("utf-8")
    for name, rest in re.findall(r"(KOTAE_[A-Z]+__[A-Z_]*|\bkotae_[a-z_]+)([*…]?)", text):
        assert any(one.startswith(name) for one in known) if rest else name in known | tests_own, name


@pytest.mark.parametrize("document", [ROOT / "README.md", *PAGES], **BY_NAME)
def test_settings_that_are_named_without_their_section_are_there(document: Path) -> None:
    fields = {
        (section.name.upper(), option.name.upper())
        for section in msgspec.structs.fields(Settings)
        if section.name != "tools"
        for option in msgspec.structs.fields(section.type)
    }
    for code in code_spans(document):
        # `SSL_CERTFILE`, `SASL_MECHANISM=PLAIN` or `WORKER.GROUP_ID`
        found = re.fullmatch(r"(?:([A-Z]+)\.)?([A-Z]+(?:_[A-Z]+)+)(=.*)?", code)
        if found and found[2] not in VALUES and not found[2].startswith("KOTAE_"):
            assert any(name == found[2] and found[1] in (None, section) for section, name in fields), code


@pytest.mark.parametrize("document", [ROOT / "README.md", *PAGES], **BY_NAME)
def test_codes_and_fields_named_in_the_documents_exist(document: Path) -> None:
    sources = [path for folder in ("agents", "schemas", "streams") for path in (ROOT / folder).rglob("*.py")]
    known = set(re.findall(r"\w+", " ".join(path.read_text("utf-8") for path in sources)))
    snake = {code for code in code_spans(document) if re.fullmatch(r"[a-z]+(_[a-z]+)+", code)}
    assert snake - known == set()


def test_every_topic_is_listed_with_how_long_it_is_kept() -> None:
    page = (ROOT / "docs/messages.md").read_text("utf-8").partition("\n## Topics")[2]
    listed = dict(re.findall(r"^\| `([\w.]+)` \|.*\| (.+) \|$", page, re.MULTILINE))
    assert set(listed) == Topics().own
    hours = {"hour": 1, "hours": 1, "day": 24, "days": 24}
    for spec in Topics().specs(1):
        told = re.match(r"(\d+) (\w+)", listed[spec.name])
        if told is None:
            assert "compact" in spec.configs["cleanup.policy"]
            assert "compacted" in listed[spec.name]
        else:
            kept_h = int(spec.configs["retention.ms"]) / 3_600_000
            assert kept_h == int(told[1]) * hours[told[2]], spec.name
