"""What all slots have in common: counts, how many jobs may still be taken, whether all is done."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Collection
from typing import Final

REMEMBERED: Final = 100_000
"""Jobs that were given back unbegun and are remembered: enough for hours, some megabytes."""

LOOK_AGAIN_S: Final = 1.0
"""How often a slot without work looks in ``--burst`` whether others have ended theirs."""


class Tally:
    """Counts what happens; ``stop_after`` is how many jobs may be worked on at all.

    ``counts`` are of ends of jobs, ``by_queue`` the same for each queue. ``busy`` is how many slots
    hold jobs, ``ended`` when the last job ended.
    """

    def __init__(self, stop_after: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[str] = Counter()
        self.by_queue: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.busy: int = 0
        self._left = stop_after
        self._claimed = 0
        self._clock = clock
        self._changed = threading.Condition()
        self._unbegun: OrderedDict[int, int] = OrderedDict()
        self.ended: float = clock()
        self._due = 0.0  # When the last job is ready that was put off for another attempt.
        self._rounds = 0
        self._empty_since: dict[int, int] = {}

    def begin(self) -> None:
        """Know that from now on jobs can be worked on: before, nobody was idle."""
        self.ended = self._clock()

    # -- how many may be taken ------------------------------------------------------------------

    def claim(self, most: int) -> int:
        """Return how many jobs a slot may take now, and set these aside."""
        with self._changed:
            if self._left is None:
                return most
            claimed = min(most, self._left)
            self._left -= claimed
            self._claimed += claimed
            return claimed

    def took(self, claimed: int, taken: int) -> None:
        """Know how many of those that were claimed were taken."""
        with self._changed:
            if self._left is not None:
                self._claimed -= claimed
                self._left += claimed - taken
                self._changed.notify_all()

    def give_back(self) -> None:
        """Know that a job which was taken never began."""
        with self._changed:
            if self._left is not None:
                self._left += 1

    def pause(self) -> None:
        """Wait for a change, not for long."""
        with self._changed:
            self._changed.wait(LOOK_AGAIN_S)

    @property
    def is_used_up(self) -> bool:
        """Whether no job may be taken any more."""
        return self._left == 0 and not self._claimed

    # -- what happened --------------------------------------------------------------------------

    def add(self, event: str, queue: str) -> None:
        """Count something that happened to a job of a queue."""
        with self._changed:
            self.counts[event] += 1
            self.by_queue[queue][event] += 1

    def counts_of_queues(self) -> dict[str, Counter[str]]:
        """Return the counts of each queue, as they are now."""
        with self._changed:
            return {name: counts.copy() for name, counts in self.by_queue.items()}

    def counts_now(self) -> dict[str, int]:
        """Return a copy of the counts; for any thread."""
        with self._changed:
            return dict(self.counts)

    def ended_one(self, due: float = 0.0) -> None:
        """Know that a job has ended; one that was put off is ready again at ``due``."""
        with self._changed:
            self.ended = self._clock()
            self._due = max(self._due, due)
            self._rounds += 1
            self._changed.notify_all()

    def becomes(self, change: int) -> None:
        """Know that a slot has begun to hold jobs (1), or holds none any more (-1)."""
        with self._changed:
            self.busy += change
            self.ended = self._clock()
            self._changed.notify_all()

    # -- jobs that were reserved, and never began -----------------------------------------------

    def unbegun(self, job_id: int) -> int:
        """Return how often a job was given back without having begun."""
        return self._unbegun.get(job_id, 0)

    def not_begun(self, job_id: int) -> None:
        """Know that a job is given back without having begun: that is no attempt."""
        with self._changed:
            self._unbegun[job_id] = self._unbegun.pop(job_id, 0) + 1
            if len(self._unbegun) > REMEMBERED:
                self._unbegun.popitem(last=False)

    def never_began(self, job_id: int) -> None:
        """Know that a job is gone without having begun, and that this was not an end of it."""
        self.not_begun(job_id)
        self.give_back()

    def forget(self, job_id: int) -> None:
        """Know that a job is gone."""
        if self._unbegun:
            with self._changed:
                self._unbegun.pop(job_id, None)

    # -- whether all is done --------------------------------------------------------------------

    @property
    def round(self) -> int:
        """A number that changes whenever a job ends: it may have put another."""
        return self._rounds

    def found_nothing(self, slot: int, seen: int, asked: float) -> None:
        """Know that a slot has ``asked`` then in vain, after the ``seen``-th round; wait for news.

        That counts for nothing as long as this worker has put off a job for another attempt.
        """
        with self._changed:
            # Nobody is told: who waits here would ask again, find nothing, and tell this one.
            if asked >= self._due:
                self._empty_since[slot] = seen
            if self._rounds == seen:
                until_due = self._due - self._clock()
                self._changed.wait(min(until_due, LOOK_AGAIN_S) if until_due > 0 else LOOK_AGAIN_S)

    def is_all_done(self, slots: Collection[int]) -> bool:
        """Tell whether all of these slots have looked in vain since the last job ended."""
        with self._changed:
            in_vain = all(self._empty_since.get(each) == self._rounds for each in slots)
            return in_vain and not self.busy

    def wake(self) -> None:
        """Let whoever waits look again."""
        with self._changed:
            self._changed.notify_all()
