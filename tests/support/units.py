"""The units of systemd that are shipped, and their commands as systemd would run them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parents[2] / "systemd"
UNITS = sorted(DIRECTORY.iterdir())
INSTALLED = "/opt/stalkd"
"""Where the units have the program."""


def settings(name: str) -> dict[str, list[str]]:
    """All values of each key of a unit, in their order."""
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", (DIRECTORY / name).read_text(), re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


def setting(name: str, key: str) -> str:
    """The one value of a key."""
    (value,) = settings(name)[key]
    return value


def command(name: str, state: Path, instance: str = "", **variables: str) -> list[str]:
    """What ExecStart= says, with this installation and these values of variables."""
    line = setting(name, "ExecStart").replace("%S", str(state)).replace("%i", instance)
    line = line.replace(INSTALLED, sys.prefix)
    words = []
    for word in shlex.split(line):
        known = re.fullmatch(r"\$(\w+)", word)
        words += variables.get(known[1], "").split() if known else [word]
    return words


def copies(directory: Path) -> list[str]:
    """Copies of the units that name this installation, as a test has nothing in /opt."""
    made = []
    for unit in UNITS:
        copy = directory / unit.name
        copy.write_text(unit.read_text().replace(INSTALLED, sys.prefix))
        made.append(str(copy))
    return made


def allowed_calls(filters: Sequence[str]) -> set[str]:
    """The system calls that SystemCallFilter= admits; the first line is what there is at all."""
    allowed: set[str] = set()
    for line in filters:
        calls = {call for name in line.removeprefix("~").split() for call in _calls(name)}
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    return allowed | _calls("@default")


def _calls(name: str) -> set[str]:
    if not name.startswith("@"):
        return {name}
    return {call for each in _sets()[name] for call in _calls(each)}


@cache
def _sets() -> dict[str, list[str]]:
    """The sets of calls that this systemd knows, by name."""
    told = subprocess.check_output(["systemd-analyze", "syscall-filter", "--no-pager"], text=True)
    found: dict[str, list[str]] = {}
    name = ""
    for line in told.splitlines():
        if line.startswith("@"):
            name = line.strip()
            found[name] = []
        elif name and line.startswith(" ") and not line.lstrip().startswith("#"):
            found[name].append(line.strip())
        elif not line.startswith((" ", "#")) and line:
            name = ""
    return found
