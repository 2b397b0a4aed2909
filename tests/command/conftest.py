"""Servers, and the command run against them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from stalkd_client import Client

from support.daemon import Daemon, start_stalkd
from support.servers import original, url
from support.stalk import Outcome, Stalk
from support.stalk import run as run_here

__all__ = ["original", "url"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the state of whoever runs it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("STALKD_URL", raising=False)
    monkeypatch.delenv("STALK_DEBUG", raising=False)
    return tmp_path


@pytest.fixture
def run() -> Stalk:
    return run_here


@pytest.fixture
def server() -> Iterator[Daemon]:
    with start_stalkd() as daemon:
        yield daemon
        assert daemon.running, "\n".join(daemon.log)


@pytest.fixture(
    params=["stalkd", pytest.param("beanstalkd", marks=pytest.mark.needs("beanstalkd"))]
)
def either(request: pytest.FixtureRequest) -> str:
    """A server of each kind, one after the other."""
    return str(request.getfixturevalue({"stalkd": "url", "beanstalkd": "original"}[request.param]))


@pytest.fixture
def stalk(run: Stalk, url: str) -> Stalk:
    """The command, with a stalkd of this test's own."""

    def go(*words: str | int, text: str | bytes | None = None) -> Outcome:
        return run("--url", url, *words, text=text)

    return go


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url, use="mail", watch="mail") as made:
        yield made
