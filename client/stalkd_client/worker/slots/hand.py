"""The jobs that a slot holds: which one the child works on, and which wait for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from stalkd_client.worker.link import Link
from stalkd_client.worker.slots.held import Held
from stalkd_client.worker.slots.pace import SLOW_S


class Hand:
    """Jobs in their order; the first is the one that the child works on, if it has been sent.

    Those that are ``kept`` had been taken back, and are sent when nothing else is left.
    """

    def __init__(self) -> None:
        self._held: dict[int, Held] = {}
        self._unsent: deque[Held] = deque()
        self._kept: deque[Held] = deque()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def jobs(self) -> list[Held]:
        """All that are held."""
        return list(self._held.values())

    @property
    def first(self) -> Held | None:
        """The one that the child works on, or is going to."""
        return next(iter(self._held.values()), None)

    @property
    def current(self) -> Held | None:
        """The one that the child works on, if it has begun; for any thread."""
        return next((held for held in self.jobs if held.begun is not None), None)

    @property
    def keeps(self) -> bool:
        """Whether there are jobs that must not be given back."""
        return bool(self._kept)

    @property
    def has_waiting(self) -> bool:
        """Whether jobs wait behind the first that may be given back."""
        return len(self._held) - len(self._kept) > 1

    def get(self, job_id: int) -> Held | None:
        """Return a job that is held."""
        return self._held.get(job_id)

    def add(self, held: Held) -> None:
        """Have another job, to be sent."""
        self._held[held.job.id] = held
        self._unsent.append(held)

    def remove(self, held: Held) -> None:
        """Have one less."""
        self._held.pop(held.job.id, None)

    def feed(self, link: Link, now: float) -> list[Held]:
        """Send jobs, as many as there is room for; return those whose leases are over."""
        late = []
        while self._unsent and not link.is_dead:
            held = self._unsent[0]
            if held.is_over(now):
                late.append(held)
            elif not link.send(held.work()):
                break
            self._unsent.popleft()
        is_alone = len(self._held) == len(self._kept)
        if self._kept and is_alone and link.send(self._kept[0].work()):
            self._kept.popleft()
        return late

    def begin_first(self, now: float, time_limit: float | None) -> None:
        """Know that the child works on the first job, if it has been sent."""
        first = self.first
        is_sent = first not in (*self._unsent, *self._kept)
        if first is not None and first.begun is None and is_sent:
            first.begin(now, time_limit)

    def due(self) -> float:
        """Return when something must be done about these jobs, whatever the child says."""
        moments = [each.touch_at for each in self._held.values() if not each.lost]
        first = self.first
        if first is not None and first.limit_at is not None:
            moments.append(first.limit_at)
        if first is not None and first.begun is not None and self.has_waiting:
            moments.append(first.begun + SLOW_S)
        return min(moments, default=float("inf"))

    def take_back(self, link: Link) -> list[Held]:
        """Take what the child has not begun; return all that could be given back."""
        for job_id in link.take_back():
            held = self._held[job_id]
            held.begun = held.limit_at = None
            self._unsent.append(held)
        return list(self._unsent)

    def let_go(self, but: Collection[int] = ()) -> list[Held]:
        """Remove and return those that the child does not have, ``but`` some, which are kept."""
        waiting = [*self._kept, *self._unsent]
        already = {each.job.id for each in self._kept}
        self._unsent.clear()
        self._kept = deque(each for each in waiting if each.job.id in but or each.job.id in already)
        gone = [each for each in waiting if each not in self._kept]
        for each in gone:
            self.remove(each)
        return gone

    def drop(self) -> list[Held]:
        """Remove and return all that the child does not have, the kept ones, too."""
        self._unsent.extend(self._kept)
        self._kept.clear()
        return self.let_go()
