"""Fixtures with servers for clients, to be imported into a conftest: one stalkd for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.daemon import Daemon, start_beanstalkd, start_stalkd


def url_of(daemon: Daemon) -> str:
    return f"stalkd://{daemon.host}:{daemon.port}"


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
