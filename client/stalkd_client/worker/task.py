"""What a handler can know of its job, and what may be raised in it."""

from __future__ import annotations

import time
from collections.abc import Callable


class SoftTimeLimitError(Exception):
    """The handler has taken as long as ``--soft-time-limit`` allows: time to tidy up."""


class CommandError(Exception):
    """The program of ``--exec`` ended with another exit code than 0, or by a signal.

    ``code`` is the exit code, or the number of the signal below 0.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code: int = code


class CurrentJob:
    """The job that is being worked on: what a parameter called ``job`` gets.

    ``attempt`` counts from 1. ``deadline`` is the moment, by ``time.monotonic``, when the process
    is killed; None if there is no limit. The lease needs no care: the worker keeps it alive.
    """

    def __init__(
        self,
        id: int,  # noqa: A002 - as Job and Lease have it
        queue: str,
        attempt: int,
        limit: float | None,
        tell: Callable[[float], None],
    ) -> None:
        """Begin now; ``limit`` is the hard time limit, ``tell`` passes a new one on."""
        self.id: int = id
        self.queue: str = queue
        self.attempt: int = attempt
        self.deadline: float | None = None if limit is None else time.monotonic() + limit
        self._tell = tell

    def __repr__(self) -> str:
        return f"<CurrentJob {self.id} of {self.queue}, attempt {self.attempt}>"

    @property
    def time_left(self) -> float:
        """Seconds until the process is killed; infinity if there is no limit."""
        return float("inf") if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def extend(self, seconds: float) -> None:
        """Let the hard time limit be so many seconds from now, if there is one."""
        if self.deadline is not None:
            self.deadline = time.monotonic() + seconds
            self._tell(seconds)
