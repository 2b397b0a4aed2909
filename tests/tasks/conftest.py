"""Servers for the tests of tasks; none is met unless it is asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stalkd_client import Tasks

from support.daemon import Daemon, start_beanstalkd, start_stalkd


def url_of(daemon: Daemon) -> str:
    return f"stalkd://{daemon.host}:{daemon.port}"


@pytest.fixture(autouse=True)
def _no_server_by_accident(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STALKD_URL", "unix:/nowhere/stalkd.sock")


@pytest.fixture(scope="module")
def server() -> Iterator[Daemon]:
    with start_stalkd() as daemon:
        yield daemon
        assert daemon.running, "\n".join(daemon.log)
        assert not [line for line in daemon.log if "Traceback" in line], "\n".join(daemon.log)


@pytest.fixture
def url(server: Daemon) -> str:
    return url_of(server)


@pytest.fixture
def original() -> Iterator[str]:
    with start_beanstalkd() as daemon:
        yield url_of(daemon)


@pytest.fixture
def tube(request: pytest.FixtureRequest) -> str:
    """A tube for this test alone."""
    return f"tube-of-{request.node.name}".translate(str.maketrans("[]", "()"))[:200]


@pytest.fixture
def tasks(url: str, tube: str) -> Iterator[Tasks]:
    """Tasks whose jobs go to the test's own tube, and have results."""
    made = Tasks(url=url, queue=tube, result=True)
    yield made
    made.close()
