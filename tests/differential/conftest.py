"""What the tests against the original share."""

from __future__ import annotations

import subprocess

import pytest


@pytest.fixture(scope="session")
def beanstalkd_1_12() -> None:
    """Leave out a test where the original is another version than the one of the conversations."""
    told = subprocess.run(["beanstalkd", "-v"], capture_output=True, text=True, check=True).stdout
    if told.strip() != "beanstalkd 1.12":
        pytest.skip(f"compares with beanstalkd 1.12; this is {told.strip()}")
