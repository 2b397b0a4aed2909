"""Our side of docs/migration.md runs, and jobs are carried from a beanstalkd as it says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from support.examples import DOCS, Block, blocks_of
from support.reader import Reader

PAGE = (DOCS / "migration.md").read_text()
PARTS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
THEIRS = [block for block in blocks_of(PAGE) if "theirs=" in block.about]


@pytest.mark.needs("beanstalkd")
@pytest.mark.parametrize("title", PARTS)
def test_our_side_works(title: str, tmp_path: Path) -> None:
    with Reader(tmp_path) as reader:
        for block in blocks_of(PARTS[title]):
            if block not in THEIRS:
                reader.follow(block)


@pytest.mark.parametrize("block", THEIRS, ids=[block.about.strip() for block in THEIRS])
def test_their_side_is_python_at_least(block: Block) -> None:
    """Their systems are not here."""
    ast.parse(block.code)


def test_every_system_has_both_sides_and_what_it_does_better() -> None:
    assert [*PARTS][-1] == "Move the jobs"
    assert len(PARTS) == 6
    for title, text in [*PARTS.items()][:-1]:
        told = [("theirs=" in block.about) for block in blocks_of(text)]
        assert True in told, title
        assert False in told, title
        assert "does better:**" in text, title
