"""A slot's supply without any server: lines of stdin, and files for what comes of them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from stalkd_client.errors import StalkdError
from stalkd_client.jobs import Job
from stalkd_client.worker.messages import Trouble
from stalkd_client.worker.once.lines import Input
from stalkd_client.worker.once.written import Written
from stalkd_client.worker.settings import STDIN
from stalkd_client.worker.slots.supply import Answer, End, Put


class LineSupply:
    """One slot's share of what all have in common.

    When nothing can be written any more, it gives no more lines, and those that it gave have not
    ended: the worker is going to give up.
    """

    def __init__(self, lines: Input, written: Written) -> None:
        self.can_move: bool = False
        self.wanted: frozenset[str] = frozenset({STDIN})
        self.has_tubes: threading.Event = threading.Event()
        self.has_tubes.set()
        self._lines = lines
        self._written = written
        self._is_interrupted = False

    @property
    def address(self) -> str:
        """Where it is."""
        return STDIN

    def want(self, tubes: frozenset[str]) -> None:
        """Do nothing: there is one queue."""

    def serve(self, names: Sequence[str]) -> None:
        """Do nothing: the same."""

    def look_again(self) -> bool:
        """Return False: the same."""
        return False

    def interrupt(self) -> None:
        """End a wait for lines, or the next one if there is none."""
        self._is_interrupted = True
        self._lines.wake()

    def wait(self, most: int, timeout: float | None) -> list[Job]:
        """Wait for lines; return none after the timeout and when interrupted."""
        jobs = self._lines.wait(most, timeout, lambda: self._is_interrupted)
        self._is_interrupted = False
        return jobs

    def flaw(self, job: Job) -> Trouble | None:
        """Return what is wrong with a line that no handler should get."""
        return self._lines.flaw(job.id)

    def settle(self, ends: Sequence[End], most: int) -> tuple[Sequence[Answer], list[Job]]:
        """End lines, and take up to so many at once."""
        failure = self._written.failure
        if failure is not None:
            is_quiet = isinstance(failure, BrokenPipeError)
            return [None if is_quiet else StalkdError(str(failure)) for _ in ends], []
        self._lines.end(ends)
        return [None] * len(ends), self._lines.take(most)

    def touch(self, jobs: Sequence[Job]) -> Sequence[Answer]:
        """Do nothing: a line is nobody else's."""
        return [None] * len(jobs)

    def spent(self, jobs: Sequence[Job]) -> set[int]:  # noqa: ARG002 - as all supplies have it
        """Return nothing: a line that is given back is just a line."""
        return set()

    def store(self, puts: Sequence[Put]) -> Sequence[Answer]:
        """Write outputs and records; if that fails, nothing ends any more."""
        try:
            self._written.store(puts)
        except OSError:
            self._lines.close()
        return [None] * len(puts)
