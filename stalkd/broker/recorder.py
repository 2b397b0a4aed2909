"""What the broker tells of each change that a restart must know.

The broker calls one of these methods after each such change; ``stalkd.journal`` has the recorder
that writes a log. Nothing here can fail or refuse: whether there is room for a job is asked before
it is put.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stalkd.broker.job import Job
    from stalkd.broker.tube import Tube


class Recorder:
    """Remembers nothing: the recorder of a daemon that keeps its jobs in memory only."""

    __slots__ = ()

    def put(self, job: Job) -> None:
        """Note a new job, before anybody can reserve it."""

    def reserved(self, job: Job) -> None:
        """Note that a job was handed out once more."""

    def changed(self, job: Job) -> None:
        """Note that a client has released, buried or kicked a job: its priority, delay, place."""

    def expired(self, job: Job) -> None:
        """Note that a lease has ended by time."""

    def deleted(self, job: Job) -> None:
        """Note that a job is gone."""

    def changing(self, job: Job) -> None:
        """Note that a job's terms or tube are about to change; ``moved`` follows."""

    def moved(self, job: Job) -> None:
        """Note that they have changed, and perhaps all that ``changed`` is about."""

    def deciding(self, tube: Tube) -> None:
        """Note that a tube's policy is about to change; ``decided`` follows."""

    def decided(self, tube: Tube) -> None:
        """Note a tube's policy, or that it has none any more."""

    def paused(self, tube: Tube) -> None:
        """Note that a tube's pause has begun or ended."""


NO_RECORDER = Recorder()
"""For all brokers without a log: it has no state."""
