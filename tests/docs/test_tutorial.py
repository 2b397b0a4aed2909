"""docs/tutorial.md works: all of it, in one go, from the first line to the last."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.examples import DOCS, blocks_of
from support.reader import Reader

BLOCKS = blocks_of((DOCS / "tutorial.md").read_text())


@pytest.mark.needs("nc")
def test_from_nothing_to_a_durable_queue(tmp_path: Path) -> None:
    """Installing is tested with the README, as it needs the network."""
    with Reader(tmp_path) as reader:
        for block in BLOCKS:
            if block.about.strip() != "install":
                reader.follow(block)
