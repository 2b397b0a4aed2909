"""A job that a slot holds: its lease, and how far its work has got. No I/O; ``now`` is given."""

from __future__ import annotations

from typing import Final

from stalkd_client.jobs import Job
from stalkd_client.worker.messages import Work

TOUCH_AT: Final = 1 / 3
"""Of the time to run, after which a lease is begun anew: two touches may fail before it is over."""


class Held:
    """One job. ``ends`` is when its lease is over, ``touch_at`` when it should be begun anew.

    ``attempt`` counts those that began, from 1 on. ``lost`` says that the lease is known to be
    over, ``begun`` when the child began with it, as far as can be told from outside. ``worker`` is
    the name of who holds it.
    """

    __slots__ = ("attempt", "begun", "ends", "job", "limit_at", "lost", "touch_at", "worker")

    def __init__(self, job: Job, asked: float, unbegun: int, worker: str) -> None:
        """Be reserved by what was ``asked`` then; ``unbegun`` attempts of it never began."""
        self.job: Job = job
        self.worker: str = worker
        self.attempt: int = max(1, job.attempt - unbegun)
        self.lost: bool = False
        self.begun: float | None = None
        self.limit_at: float | None = None
        self.ends: float = 0.0
        self.touch_at: float = 0.0
        self.touched(asked)

    def touched(self, asked: float) -> None:
        """Have a new lease. It begins after it was asked for, so this is on the safe side."""
        self.ends = asked + self.job.ttr
        self.touch_at = asked + self.job.ttr * TOUCH_AT

    def begin(self, now: float, time_limit: float | None) -> None:
        """Be what the child is working on."""
        self.begun = now
        self.limit_at = None if time_limit is None else now + time_limit

    def is_over(self, now: float) -> bool:
        """Tell whether somebody else may have the job."""
        return self.lost or now >= self.ends

    def work(self) -> Work:
        """Return what the child is told."""
        job = self.job
        return Work(job.id, job.body, job.tube, self.attempt, self.ends)
