"""All pages: links lead somewhere, examples are run somewhere, and the index knows each page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.examples import blocks_of
from support.reader import Reader

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").glob("*.md")])

LANGUAGES = {
    "README.md": {"console", "python"},
    "docs/client.md": {"python"},
    "docs/cookbook.md": {"console", "python", "text"},
    "docs/design.md": {"mermaid"},
    "docs/migration.md": {"console", "python"},
    "docs/operations.md": {"console"},
    "docs/stalk.md": {"console"},
    "docs/tutorial.md": {"console", "python"},
    "docs/worker.md": {"console", "python", "toml"},
}
"""What is run on each page, by the test that is named after it; or here."""

NOT_RUN = re.compile(r"theirs=|^ ?make$")
"""Code of other systems, and what runs all tests."""


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """What a link can point to in a page, as GitHub makes it of headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", re.sub(r"\]\(.*?\)", "", each)).lower() for each in headings]
    return {each.replace(" ", "-") for each in plain}


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("name", LANGUAGES)
def test_no_example_is_left_out(name: str) -> None:
    text = (ROOT / name).read_text()
    blocks = blocks_of(text)
    assert {block.language for block in blocks} <= LANGUAGES[name]
    left_out = [block for block in blocks if NOT_RUN.search(block.about)]
    assert len(left_out) <= 6


def test_the_index_has_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    listed = set(re.findall(r"\]\(([\w.-]+\.md)\)", index.read_text()))
    assert listed == {path.name for path in index.parent.glob("*.md")} - {index.name}


@pytest.mark.needs("jq")
def test_the_page_of_stalk_works(tmp_path: Path) -> None:
    with Reader(tmp_path) as reader:
        for block in blocks_of((ROOT / "docs" / "stalk.md").read_text()):
            reader.follow(block)
