"""Servers for the tests of tasks; none is met unless it is asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stalkd_client import Tasks

from support.servers import original, server, tube, url

__all__ = ["original", "server", "tasks", "tube", "url"]


@pytest.fixture(autouse=True)
def _no_server_by_accident(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STALKD_URL", "unix:/nowhere/stalkd.sock")


@pytest.fixture
def tasks(url: str, tube: str) -> Iterator[Tasks]:
    """Tasks whose jobs go to the test's own tube, and have results."""
    made = Tasks(url=url, queue=tube, result=True)
    yield made
    made.close()
