"""What the tests of the log start from: an empty directory, or a log with a known history."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.directories import QuickDirectory
from support.stories import Story, stories


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[QuickDirectory]:
    """A real, empty directory; syncs in it do not wait for the disk."""
    directory = QuickDirectory(tmp_path)
    yield directory
    directory.close()


@pytest.fixture(params=["closed", "killed", "never synced", "torn before", "compacted"])
def story(request: pytest.FixtureRequest) -> Story:
    """A small log and its history; it is shared: damage copies."""
    return stories()[request.param]
