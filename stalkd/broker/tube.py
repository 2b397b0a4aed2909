"""A tube: the named queue in which jobs wait, and what it counts."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from stalkd.broker.alarms import Owner
from stalkd.broker.limits import ID_BITS, NEVER
from stalkd.broker.sortedkeys import SortedKeys

if TYPE_CHECKING:
    from stalkd.broker.client import Client
    from stalkd.broker.policy import Policy


class Tube(Owner):
    """One tube.

    ``ready``, ``delayed`` and ``buried`` hold the keys of its jobs (see ``Job.key``). ``waiting``
    holds the clients blocked on it, first come first; an OrderedDict, because the oldest entry of
    a plain dict gets slow to find once many before it are gone. ``paused_until`` is in
    nanoseconds, 0 when not paused; ``pause_s`` is what the client asked for, in seconds. ``file``
    is the number of the log's segment that holds the record of the pause, 0 when there is none;
    ``policy_file`` is the same for the policy, which is None where there is none.

    ``closed`` says that nobody may reserve now: it is paused; or, by its policy, has all the leases
    it may, or must wait until ``reopens`` (nanoseconds, 0 when it need not). ``paced`` is when the
    next reserve is due by its rate. ``expiring`` holds (time, id) of all jobs that will expire,
    ``keys`` the ids of its jobs that have a key.
    """

    __slots__ = (
        "buried",
        "closed",
        "dead",
        "deletes",
        "delayed",
        "expired",
        "expiring",
        "file",
        "keys",
        "name",
        "paced",
        "pause_s",
        "paused_until",
        "pauses",
        "policy",
        "policy_file",
        "ready",
        "rejected",
        "reopens",
        "reserved",
        "total_jobs",
        "urgent",
        "using",
        "waiting",
        "watching",
    )

    def __init__(self, name: str, serial: int) -> None:
        """Start empty, with nobody using it."""
        super().__init__(serial)
        self.name = name
        self.ready = SortedKeys()
        self.delayed = SortedKeys()
        self.buried = SortedKeys()
        self.reserved = 0
        self.urgent = 0
        self.waiting: OrderedDict[Client, None] = OrderedDict()
        self.using = 0
        self.watching = 0
        self.paused_until = 0
        self.pause_s = 0
        self.file = 0
        self.total_jobs = 0
        self.deletes = 0
        self.pauses = 0
        self.policy: Policy | None = None
        self.policy_file = 0
        self.closed = False
        self.paced = 0
        self.reopens = 0
        self.expiring: SortedKeys | None = None
        self.keys: dict[str, int] = {}
        self.expired = 0
        self.dead = 0
        self.rejected = 0

    def __repr__(self) -> str:
        return f"<Tube {self.name}>"

    def has_jobs(self) -> bool:
        """Tell whether any job, in any state, belongs to this tube."""
        return bool(self.ready.size or self.reserved or self.delayed.size or self.buried.size)

    def job_count(self) -> int:
        """Return how many jobs belong to this tube, in whatever state."""
        return self.ready.size + self.reserved + self.delayed.size + self.buried.size

    def next_deadline(self) -> int:
        """Return when time next changes something here, or NEVER.

        A delay or the pause ends, a job expires, or the rate allows the next reserve.
        """
        delay_ends = self.delayed.first() >> ID_BITS if self.delayed.size else NEVER
        due = min(delay_ends, self.paused_until or NEVER, self.reopens or NEVER)
        return min(due, self.first_expiry()) if self.expiring is not None else due

    def first_expiry(self) -> int:
        """Return when the next job expires, or NEVER."""
        expiring = self.expiring
        return expiring.first() >> ID_BITS if expiring is not None and expiring.size else NEVER

    # -- what its policy says -------------------------------------------------------------------

    def is_full(self) -> bool:
        """Tell whether puts are refused."""
        policy = self.policy
        if policy is None or not policy.max_jobs:
            return False
        count = self.ready.size + self.reserved + self.delayed.size + self.buried.size
        return count >= policy.max_jobs

    def is_crowded(self) -> bool:
        """Tell whether it has all the leases that it may."""
        policy = self.policy
        return policy is not None and 0 < policy.concurrency <= self.reserved

    def note_reserve(self, policy: Policy, now: int) -> None:
        """Count a reserve towards its rate, and be closed if it was the last for now."""
        if policy.rate:
            paced = max(now, self.paced) + policy.interval
            if paced - policy.slack > now:
                # A reserve-job may come while the tube is closed. It puts the next reserve off by
                # one interval; if all of them added up, the tube could be closed for hours.
                paced = min(paced, now + policy.slack + policy.interval)
                self.reopens = paced - policy.slack
                self.closed = True
            self.paced = paced
        if 0 < policy.concurrency <= self.reserved:
            self.closed = True

    def restrict(self, now: int) -> None:
        """Find out anew whether it is closed."""
        policy = self.policy
        opens = self.paced - policy.slack if policy is not None and policy.rate else 0
        self.reopens = opens if opens > now else 0
        self.closed = bool(self.paused_until or self.reopens) or self.is_crowded()
