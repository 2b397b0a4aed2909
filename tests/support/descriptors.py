"""Many open files at once."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

SPARE = 200
"""What the test run itself, or a server, has open besides."""


@contextmanager
def descriptors(count: int) -> Iterator[None]:
    """Allow so many descriptors meanwhile; where the system forbids it, skip the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count + SPARE:
        pytest.skip(f"needs {count + SPARE} descriptors, the limit is {hard}; see ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + SPARE), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
