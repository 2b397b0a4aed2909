"""Fixtures for tests of programs that use stalkd; pytest finds them by itself.

    def test_mail_is_queued(stalkd_server):
        order(17)
        assert Queue("mail").pop() == [{"order": 17}]

Imports stand inside the fixtures: this is loaded by every run of pytest, also by those that have
nothing to do with stalkd.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stalkd_client.tasks.inlining import Inline
    from stalkd_client.testing import Server


@pytest.fixture
def stalkd_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A stalkd for this test alone, named by STALKD_URL: ``url``, ``client()``, ``log``."""
    from stalkd_client.address import URL_VARIABLE  # noqa: PLC0415 - see above
    from stalkd_client.tasks.app import DEFAULT  # noqa: PLC0415 - most test suites do not use it
    from stalkd_client.testing import private_server  # noqa: PLC0415 - the same

    with private_server() as server:
        monkeypatch.setenv(URL_VARIABLE, server.url)
        yield server
        DEFAULT.close()  # Its connection leads nowhere from now on.


@pytest.fixture
def stalkd_inline() -> Iterator[Inline]:
    """Whatever is pushed in this test runs at once; the value tells what was pushed."""
    from stalkd_client.tasks.inlining import inline  # noqa: PLC0415 - see above

    with inline() as mode:
        yield mode
