"""Where every job is, who waits for it, and how it moves from one place to the next.

A job is in exactly one place, which its state names: its tube's ``ready``, ``delayed`` or
``buried`` collection, or the ``leases`` of the client that holds it. The methods here keep place,
key and counters in step; which move is allowed when, and so the state, is ``broker``'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalkd.broker.client import Client, Outcome
from stalkd.broker.job import DELAYED, READY, RESERVE_JOB, Job
from stalkd.broker.limits import ID_BITS, ID_MASK, NS_PER_S, URGENT_BELOW
from stalkd.broker.recorder import NO_RECORDER, Recorder

if TYPE_CHECKING:
    from stalkd.broker.alarms import Alarms
    from stalkd.broker.tube import Tube


class Queues:
    """All jobs by id, and the moves between their places.

    ``answers`` collects what came to clients that were waiting: (client, job or outcome). Whoever
    calls the broker empties it. An unpaused tube never has both ready jobs and waiting clients.
    """

    __slots__ = (
        "alarms",
        "answers",
        "buried",
        "burials",
        "delayed",
        "jobs",
        "recorder",
        "reserved",
        "urgent",
        "waiting",
    )

    def __init__(self, alarms: Alarms) -> None:
        """Start without jobs."""
        self.alarms = alarms
        self.recorder: Recorder = NO_RECORDER
        self.jobs: dict[int, Job] = {}
        self.answers: list[tuple[Client, Job | Outcome]] = []
        self.burials = 0
        self.urgent = 0
        self.reserved = 0
        self.delayed = 0
        self.buried = 0
        self.waiting = 0

    # -- into a place ---------------------------------------------------------------------------

    def add_ready(self, job: Job, now: int) -> None:
        """Queue a job that is in no place, or hand it to whoever waits for it."""
        tube = job.tube
        if tube.waiting and not tube.paused_until:
            self._hand_over(job, now)
            return
        # Where the priority is 0, the key is the id: one integer less to keep.
        job.key = key = job.pri << ID_BITS | job.id if job.pri else job.id
        tube.ready.add(key)
        if job.pri < URGENT_BELOW:
            tube.urgent += 1
            self.urgent += 1

    def add_delayed(self, job: Job, delay_ends: int) -> None:
        """Let a job that is in no place wait until ``delay_ends``."""
        job.key = delay_ends << ID_BITS | job.id
        job.tube.delayed.add(job.key)
        self.delayed += 1
        self.alarms.advance(job.tube, delay_ends)

    def add_buried(self, job: Job) -> None:
        """Put a job that is in no place at the end of its tube's buried ones."""
        self.burials += 1
        self.restore_buried(job, self.burials)

    def restore_buried(self, job: Job, order: int) -> None:
        """Put a job that is in no place among its tube's buried ones, by its order of burial."""
        job.key = order << ID_BITS | job.id
        job.tube.buried.add(job.key)
        self.buried += 1

    def lease(self, job: Job, client: Client, now: int) -> None:
        """Give a job that is in no place to a client, for its time-to-run."""
        job.state = RESERVE_JOB[job.state]
        job.reserves += 1
        job.holder = client
        job.tube.reserved += 1
        self.reserved += 1
        self._set_lease(job, client, now)
        self.recorder.reserved(job)

    def renew_lease(self, job: Job, client: Client, now: int) -> None:
        """Start the time-to-run of a job that the client holds anew."""
        client.leases.remove(job.key)
        self._set_lease(job, client, now)

    def _set_lease(self, job: Job, client: Client, now: int) -> None:
        lease_ends = now + job.ttr * NS_PER_S
        job.key = key = lease_ends << ID_BITS | job.id
        client.leases.add(key)
        if lease_ends < client.alarm:
            self.alarms.advance(client, lease_ends)

    # -- out of a place -------------------------------------------------------------------------

    def take_first(self, tube: Tube) -> Job:
        """Take the most urgent ready job out of its tube."""
        job = self.jobs[tube.ready.pop_first() & ID_MASK]
        if job.pri < URGENT_BELOW:
            tube.urgent -= 1
            self.urgent -= 1
        return job

    def take(self, job: Job) -> None:
        """Take a job out of the place that its state names."""
        tube = job.tube
        if job.holder is not None:
            self._end_lease(job, job.holder)
        elif job.state is READY:
            tube.ready.remove(job.key)
            if job.pri < URGENT_BELOW:
                tube.urgent -= 1
                self.urgent -= 1
        elif job.state is DELAYED:
            tube.delayed.remove(job.key)
            self.delayed -= 1
        else:
            tube.buried.remove(job.key)
            self.buried -= 1

    def _end_lease(self, job: Job, holder: Client) -> None:
        holder.leases.remove(job.key)
        job.holder = None
        job.tube.reserved -= 1
        self.reserved -= 1

    # -- who waits ------------------------------------------------------------------------------

    def wait(self, client: Client, until: int) -> None:
        """Let a client wait for a job of any tube that it watches."""
        client.wait_until = until
        self.waiting += 1
        for tube in client.watched:
            tube.waiting[client] = None
        self.alarms.advance(client, client.wait_ends())

    def stop_waiting(self, client: Client) -> bool:
        """End a client's wait without an answer. False: it does not wait."""
        if client.wait_until is None:
            return False
        client.wait_until = None
        self.waiting -= 1
        for tube in client.watched:
            del tube.waiting[client]
        return True

    def answer(self, client: Client, answer: Job | Outcome) -> None:
        """End a client's wait with an answer."""
        self.stop_waiting(client)
        self.answers.append((client, answer))

    def serve(self, tube: Tube, now: int) -> None:
        """Hand the ready jobs of a tube to those who wait for them."""
        while tube.waiting and tube.ready.size and not tube.paused_until:
            self._hand_over(self.take_first(tube), now)

    def _hand_over(self, job: Job, now: int) -> None:
        """Give a job that is in no place to the client that has waited longest for its tube."""
        client = next(iter(job.tube.waiting))
        self.answer(client, job)
        self.lease(job, client, now)
