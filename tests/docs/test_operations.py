"""docs/operations.md tells what happens: each entry is brought about, and looked at as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.daemon import start_stalkd
from support.examples import DOCS, Block, blocks_of
from support.reader import Reader, can_mount

PAGE = (DOCS / "operations.md").read_text()
PARTS = dict(re.findall(r"^##+ (.*?)\n(.*?)(?=^##+ |\Z)", PAGE, re.MULTILINE | re.DOTALL))
PREPARING = ("Watch it", "Back it up", "Upgrade it")
"""These go on from each other, with one daemon."""

ENTRIES = [title for title, text in PARTS.items() if blocks_of(text) and title not in PREPARING]


def disk_of(blocks: list[Block]) -> str:
    """What disk the daemon has: a small one, one that fails, or a good one."""
    return "".join(re.findall(r"disk=(\w+)", blocks[0].about))


def follow(blocks: list[Block], place: Path) -> None:
    disk = disk_of(blocks)
    if disk == "small" and not can_mount():
        pytest.skip("the system does not let this user mount a small disk")
    with Reader(place, disk=disk) as reader:
        for block in blocks:
            reader.follow(block)


def test_a_daemon_is_watched_backed_up_and_upgraded(tmp_path: Path) -> None:
    follow([block for title in PREPARING for block in blocks_of(PARTS[title])], tmp_path)


@pytest.mark.needs("strace")
@pytest.mark.parametrize("title", ENTRIES)
def test_an_entry_is_true(title: str, tmp_path: Path) -> None:
    follow(blocks_of(PARTS[title]), tmp_path)


def test_what_is_to_be_watched_exists(tmp_path: Path) -> None:
    """Keys of stats, and of the tubes."""
    with start_stalkd("-b", str(tmp_path)) as daemon, daemon.connect() as wire:
        size = int(wire.ask(b"stats").split()[1])
        known = set(re.findall(r"^([a-z-]+):", wire.read_exact(size + 2).decode(), re.MULTILINE))
        size = int(wire.ask(b"stats-tubes").split()[1])
        known |= set(re.findall(r"([a-z-]+): ", wire.read_exact(size + 2).decode()))
    rows = re.findall(r"^\| (.*) \| .* \|$", PARTS["Watch it"], re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z]+(?:-[a-z]+)+)`", row)}
    assert len(named) > 8
    assert named <= known


def test_every_entry_says_what_it_means() -> None:
    for title in ENTRIES:
        assert re.search(r"^(You see|Ask|It says|A \*poison)", PARTS[title], re.MULTILINE), title
    assert len(ENTRIES) == 11
