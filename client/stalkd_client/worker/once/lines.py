"""The lines of stdin as jobs: read as work goes on, shared by all slots, kept until done.

No server is needed, and no lease: what a slot has taken is open until the slot tells its end.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import Final

from stalkd_client.jobs import Job
from stalkd_client.worker.messages import Trouble
from stalkd_client.worker.once.splitting import LONGEST_LINE, Line, Splitter
from stalkd_client.worker.settings import STDIN
from stalkd_client.worker.slots.supply import End

CHUNK_BYTES: Final = 64 * 1024
"""Read at a time: what a pipe holds."""

AHEAD_BYTES: Final = 256 * 1024
"""Of lines that are read before somebody wants them: some batches; no more, as who writes into the
pipe should notice how fast the work goes."""

OPEN_BYTES: Final = 64 << 20
"""Of lines that are being worked on or put off; beyond that no new one begins."""

MOST_PUT_OFF: Final = 10_000
"""Lines that wait for another attempt; beyond that no new one begins, as all of them may fail."""

LINE_BYTES: Final = 200
"""What a line takes in memory beside its body."""


@dataclass(slots=True)
class Open:
    """A line that somebody has taken, and that has not ended."""

    line: Line
    attempts: int = 0


class Input:
    """The lines of a file. All methods are for any thread.

    ``size`` is how many bytes there are to be read, None where that cannot be known, and
    ``done_bytes`` how many of them are in lines that have ended. ``failure`` is why no more can be
    read. ``longest`` is how many bytes a line may have.
    """

    def __init__(
        self, fd: int, clock: Callable[[], float] = time.monotonic, longest: int = LONGEST_LINE
    ) -> None:
        """Read nothing yet. Raises OSError."""
        self.size: int | None = _size_of(fd)
        self.done_bytes: int = 0
        self.failure: OSError | None = None
        self._fd = fd
        self._clock = clock
        self._splitter = Splitter(longest)
        self._longest = longest
        self._skips_blank = False
        self._changed = threading.Condition()
        self._fresh: deque[Line] = deque()
        self._fresh_bytes = 0
        self._open: dict[int, Open] = {}
        self._open_bytes = 0
        self._put_off: list[tuple[float, int]] = []  # A heap: when they are due, and their numbers.
        self._count = 0  # Lines that have been read.
        self._is_at_end = False
        self._is_closed = False

    # -- reading --------------------------------------------------------------------------------

    def begin(self, *, skips_blank: bool) -> None:
        """Read from now on, in a thread that ends with the process."""
        self._skips_blank = skips_blank
        threading.Thread(target=self._read_all, name="stdin", daemon=True).start()

    def _read_all(self) -> None:
        try:
            while data := os.read(self._fd, CHUNK_BYTES):
                self._add(self._splitter.feed(data))
                with self._changed:
                    self._changed.wait_for(lambda: self._fresh_bytes < AHEAD_BYTES)
        except OSError as error:
            self.failure = error
        self._add(self._splitter.end(), is_last=True)

    def _add(self, lines: Iterable[Line], *, is_last: bool = False) -> None:
        with self._changed:
            for line in lines:
                self._count = line.number
                if self._skips_blank and not line.body.strip():
                    self.done_bytes += line.size
                else:
                    self._fresh.append(line)
                    self._fresh_bytes += _weight(line)
            self._is_at_end = is_last
            self._changed.notify_all()

    # -- taking and ending ----------------------------------------------------------------------

    def take(self, most: int) -> list[Job]:
        """Return up to so many lines as jobs: first those that are due again, as they are older."""
        with self._changed:
            jobs = []
            for _ in range(most):
                number = self._next()
                if number is None:
                    break
                opened = self._open[number]
                opened.attempts += 1
                jobs.append(Job(number, opened.line.body, opened.attempts, 0, inf, STDIN))
            if jobs:
                self._changed.notify_all()  # There is room for the reader.
            return jobs

    def _next(self) -> int | None:
        if self._is_closed:
            return None
        if self._put_off and self._put_off[0][0] <= self._clock():
            return heappop(self._put_off)[1]
        is_full = self._open_bytes >= OPEN_BYTES or len(self._put_off) >= MOST_PUT_OFF
        if is_full or not self._fresh:
            return None
        line = self._fresh.popleft()
        self._fresh_bytes -= _weight(line)
        self._open_bytes += _weight(line)
        self._open[line.number] = Open(line)
        return line.number

    def end(self, ends: Sequence[End]) -> None:
        """Know what became of lines."""
        with self._changed:
            now = self._clock()
            for kind, job, delay in ends:
                if kind == "release":
                    heappush(self._put_off, (now + delay, job.id))
                else:
                    line = self._open.pop(job.id).line
                    self._open_bytes -= _weight(line)
                    self.done_bytes += line.size
            self._changed.notify_all()

    def wait(self, most: int, timeout: float | None, is_over: Callable[[], bool]) -> list[Job]:
        """Wait for lines, until the timeout, or until it is over."""
        ends = inf if timeout is None else self._clock() + timeout
        with self._changed:
            while not is_over() and self._clock() < ends:
                jobs = self.take(most)
                if jobs:
                    return jobs
                due = self._put_off[0][0] if self._put_off and not self._is_closed else inf
                left = min(due, ends) - self._clock()
                self._changed.wait(None if left == inf else max(0.0, left))
        return []

    def close(self) -> None:
        """Give nobody a line any more."""
        with self._changed:
            self._is_closed = True

    def wake(self) -> None:
        """Let whoever waits look again."""
        with self._changed:
            self._changed.notify_all()

    # -- looking --------------------------------------------------------------------------------

    def flaw(self, number: int) -> Trouble | None:
        """Return what is wrong with a line that was taken, if it is longer than it may be."""
        line = self._open[number].line
        if not line.is_too_long:
            return None
        told = f"the line has {line.size:,} bytes; {self._longest:,} are the most, newline aside"
        return Trouble("LineTooLongError", told)

    @property
    def is_done(self) -> bool:
        """Whether all lines have ended, and there will be no more."""
        with self._changed:
            return self._is_at_end and not self._fresh and not self._open

    def first_left(self) -> int | None:
        """Return the number of the first line that has not ended, None if all have.

        If the end of the input has not been seen, that may be one that will never come.
        """
        with self._changed:
            if self._open:
                return min(self._open)
            if self._fresh:
                return self._fresh[0].number
            return None if self._is_at_end else self._count + 1


def _weight(line: Line) -> int:
    return len(line.body) + LINE_BYTES


def _size_of(fd: int) -> int | None:
    """Return how much there is from here on in a regular file."""
    about = os.fstat(fd)
    if not stat.S_ISREG(about.st_mode):
        return None
    return max(0, about.st_size - os.lseek(fd, 0, os.SEEK_CUR))
