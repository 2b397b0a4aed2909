"""The programs of `make binary`, if they are those of the present sources."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.daemon import Daemon

ROOT = Path(__file__).resolve().parents[2]

Program = Callable[[str], Path]


def refusal(name: str) -> str:
    """Why a program cannot be tested; empty if it can."""
    file = ROOT / "dist" / name
    if not file.exists():
        return f"{file} is missing"
    with zipfile.ZipFile(file) as archive:
        inside = {each for each in archive.namelist() if each.endswith(".py")}
        for top, packages in ((ROOT, "stalkd"), (ROOT / "client", "stalkd_client")):
            for source in (top / packages).rglob("*.py"):
                member = source.relative_to(top).as_posix()
                if member not in inside or archive.read(member) != source.read_bytes():
                    return f"{file} is not built from the present {member}"
    return ""


@pytest.fixture(scope="session")
def program() -> Program:
    """Give the path of a program; without one, the test is left out, in CI it fails."""
    known: dict[str, str] = {}

    def find(name: str) -> Path:
        if name not in known:
            known[name] = refusal(name)
        if known[name] and os.environ.get("CI") == "true":
            pytest.fail(f"{known[name]}; first run: make binary")
        if known[name]:
            pytest.skip(f"{known[name]}; to test it: make check-binary")
        return ROOT / "dist" / name

    return find


@pytest.fixture
def stalkd(program: Program) -> str:
    return str(program("stalkd"))


@pytest.fixture
def daemon(stalkd: str) -> Iterator[Daemon]:
    made = Daemon([stalkd, "-l", "127.0.0.1", "-p", "0"])
    try:
        made.wait_until_listening()
        yield made
    finally:
        made.close()
