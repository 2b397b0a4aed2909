"""Servers for the tests of the worker."""

from __future__ import annotations

import re

import pytest

from support.servers import original, server, url

__all__ = ["original", "server", "tube", "url"]


@pytest.fixture
def tube(request: pytest.FixtureRequest) -> str:
    """A tube for this test alone."""
    return re.sub(r"[^A-Za-z0-9._-]", ".", request.node.name)[:180]
