"""The pictures of the documentation are those that the code gives now, and can be read."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from stalkd.broker.job import TRANSITIONS, State

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "docs" / "pictures"
NAMES = sorted(path.name for path in HERE.glob("*.svg"))
MAX_BYTES = 10_000
SVG = "{http://www.w3.org/2000/svg}"

each_picture = pytest.mark.parametrize("name", NAMES)


def words(name: str) -> list[str]:
    """All text in a picture, line by line."""
    tree = ET.parse(HERE / name)  # noqa: S314 - it is a file of ours
    return [str(each.text) for each in tree.iter(f"{SVG}text")]


def test_they_are_what_the_script_draws(tmp_path: Path) -> None:
    """Otherwise `make pictures` brings them up to date."""
    subprocess.run([sys.executable, str(HERE / "draw.py"), str(tmp_path)], check=True)
    drawn = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert drawn == {name: (HERE / name).read_text() for name in NAMES}
    assert len(NAMES) == 3


@each_picture
def test_they_are_small_and_fit_every_page(name: str) -> None:
    text = (HERE / name).read_text()
    assert len(text) < MAX_BYTES
    assert "prefers-color-scheme:dark" in text
    tree = ET.fromstring(text)  # noqa: S314 - it is a file of ours
    assert all(tree.findtext(f"{SVG}{part}") for part in ("title", "desc"))


@each_picture
def test_each_is_shown_on_a_page_that_says_what_it_shows(name: str) -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    shown = [
        found
        for page in pages
        for found in re.findall(rf"!\[([^]]*)\]\([\w/]*{name}\)", page.read_text())
    ]
    assert shown
    assert all(len(about) > 20 for about in shown)


def test_the_states_and_what_changes_them_are_all_there() -> None:
    found = words("job-states.svg")
    arrows = [event for event, changes in TRANSITIONS.items() for _ in changes]
    around = ["put", "put with delay", "delete", "expire"]
    assert sorted(found) == sorted([*arrows, *State, *around])


def test_the_daemon_has_all_its_layers() -> None:
    packages = {path.parent.name for path in (ROOT / "stalkd").glob("*/__init__.py")}
    assert packages | {"cli"} <= set(words("architecture.svg"))
