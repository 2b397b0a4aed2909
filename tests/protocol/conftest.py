"""What the tests of the extended commands start from."""

from __future__ import annotations

import pytest

from stalkd.protocol.session import Session
from support.extended import CheckedCore


@pytest.fixture
def core() -> CheckedCore:
    return CheckedCore()


@pytest.fixture
def session(core: CheckedCore) -> Session:
    """Return a client that asks and is answered."""
    return core.connect()


@pytest.fixture
def worker(core: CheckedCore) -> Session:
    """Return another client."""
    return core.connect()
