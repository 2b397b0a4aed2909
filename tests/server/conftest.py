"""The clock of all these tests, and a count of what the reactor does."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from stalkd.server import reactor
from support.inside import CountingPoller, Rounds
from support.wire import SETTLED_S


@pytest.fixture
def clock() -> MockClock:
    """Trio's time, which stands still while anybody works and else jumps to the next deadline.

    A test must take it as a parameter of its own: pytest-trio looks for clocks there only.
    """
    return MockClock(autojump_threshold=SETTLED_S)


@pytest.fixture(autouse=True)
def rounds(monkeypatch: pytest.MonkeyPatch) -> Rounds:
    """The rounds of the daemons in this test: counted, and limited."""
    counted = Rounds()
    monkeypatch.setattr(reactor, "open_poller", lambda: CountingPoller(counted))
    return counted


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "heavy: takes seconds, and 10,000 descriptors at each end")
