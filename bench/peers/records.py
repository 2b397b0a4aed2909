"""What the handlers have noted: when each job began, and which one it is."""

import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

_BYTES = 16
_LOOK_AGAIN_S = 0.002
# PyQS looks once a second for processes that have ended; nobody else pauses for so long.
_PATIENCE_S = 30.0


class Stalled(Exception):
    """No job has begun for a long time, though there are some."""


class WrongJobs(Exception):
    """A job was run twice, or never."""


class Run(NamedTuple):
    """Of one job: its number, and when it began, in ns of the monotonic clock."""

    began: int
    number: int


class Records:
    """The file of the handlers, which grows while they run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def count(self) -> int:
        """How many jobs have begun."""
        return self.path.stat().st_size // _BYTES

    def wait_for(self, count: int, is_alive: Callable[[], bool]) -> None:
        """Until so many jobs have begun. Raises Stalled."""
        seen, deadline = -1, 0.0
        while (found := self.count()) < count:
            now = time.monotonic()
            if found > seen:
                seen, deadline = found, now + _PATIENCE_S
            if now > deadline or not is_alive():
                raise Stalled(f"{found} of {count} jobs have begun")
            time.sleep(_LOOK_AGAIN_S)

    def read(self) -> list[Run]:
        """All, each job once. Raises WrongJobs."""
        fields = array("q", self.path.read_bytes())
        runs = [Run(*pair) for pair in zip(fields[::2], fields[1::2], strict=True)]
        if sorted(run.number for run in runs) != list(range(len(runs))):
            raise WrongJobs(f"{len(runs)} runs are not each of the jobs once")
        return runs
