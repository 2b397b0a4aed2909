"""There is one version; all that tells it tells the same."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from importlib.metadata import version
from pathlib import Path

import pytest
from stalkd_client import Client

from stalkd import __version__
from support.daemon import start_stalkd

ROOT = Path(__file__).resolve().parents[2]


def test_the_package_has_that_of_the_daemon() -> None:
    assert version("stalkd") == __version__


@pytest.mark.parametrize(
    "command", ["stalkd -v", "stalkd --version", "stalk --version", "stalk-worker -v"]
)
def test_every_command_tells_it(command: str) -> None:
    name, option = command.split()
    program = Path(sysconfig.get_path("scripts")) / name
    assert subprocess.check_output([program, option], text=True) == f"{name} {__version__}\n"


def test_the_server_tells_it_and_the_version_of_the_protocol() -> None:
    """Clients read the second as a number, or as numbers with points between."""
    with start_stalkd() as daemon:
        address = "stalkd://{}:{}".format(*daemon.address)
        with Client(address) as client:
            stats = client.stats()
    assert stats["server"] == f"stalkd {__version__}"
    assert re.fullmatch(r"\d+\.\d+", str(stats["version"]))


def test_the_changelog_has_it_with_its_day() -> None:
    """The newest release is this version; what is not released yet stands before it."""
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert re.fullmatch(re.escape(__version__) + r" - \d{4}-\d\d-\d\d", headings[1])
