"""Where every job is, who waits for it, and how it moves from one place to the next.

A job is in exactly one place, which its state names: its tube's ``ready``, ``delayed`` or
``buried`` collection, or the ``leases`` of the client that holds it. The methods here keep place,
key and counters in step; which move is allowed when, and so the state, is ``broker``'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalkd.broker.client import Client, Count, Outcome
from stalkd.broker.job import DELAYED, READY, RESERVE_JOB, Job
from stalkd.broker.limits import ID_BITS, ID_MASK, NS_PER_S, URGENT_BELOW
from stalkd.broker.policy import aged_key
from stalkd.broker.recorder import NO_RECORDER, Recorder

if TYPE_CHECKING:
    from stalkd.broker.alarms import Alarms
    from stalkd.broker.tube import Tube

Answer = Job | Outcome | Count


class Queues:
    """All jobs by id, and the moves between their places.

    ``answers`` collects what came to clients that were waiting: (client, job or outcome). Whoever
    calls the broker empties it. A tube that is not closed never has both ready jobs and waiting
    clients. ``watchers`` are the clients that wait for the end of a job, by its id.
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
        "watchers",
    )

    def __init__(self, alarms: Alarms) -> None:
        """Start without jobs."""
        self.alarms = alarms
        self.recorder: Recorder = NO_RECORDER
        self.jobs: dict[int, Job] = {}
        self.answers: list[tuple[Client, Answer]] = []
        self.burials = 0
        self.urgent = 0
        self.reserved = 0
        self.delayed = 0
        self.buried = 0
        self.waiting = 0
        self.watchers: dict[int, dict[Client, None]] = {}

    # -- into a place ---------------------------------------------------------------------------

    def add_ready(self, job: Job, now: int) -> None:
        """Queue a job that is in no place, or hand it to whoever waits for it."""
        tube = job.tube
        if tube.waiting and not tube.closed and not tube.ready.size:
            self._hand_over(job, now)
            return
        if tube.policy is not None and tube.policy.ageing:
            key = aged_key(job.pri, tube.policy.ageing, job.ready_since(now), job.id)
        else:
            # Where the priority is 0, the key is the id: one integer less to keep.
            key = job.pri << ID_BITS | job.id if job.pri else job.id
        job.key = key
        tube.ready.add(key)
        if job.pri < URGENT_BELOW:
            tube.urgent += 1
            self.urgent += 1
        if tube.waiting:  # The end of this job's lease may have opened the tube.
            self.serve(tube, now)

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
        tube = job.tube
        tube.reserved += 1
        self.reserved += 1
        if job.past is not None:
            job.past.touches = 0
        terms = job.terms
        self._set_lease(job, client, now + (job.ttr * NS_PER_S if terms is None else terms.lease))
        if tube.policy is not None:
            tube.note_reserve(tube.policy, now)
            if tube.reopens:
                self.alarms.advance(tube, tube.reopens)
        self.recorder.reserved(job)

    def restrict(self, tube: Tube, now: int) -> None:
        """Find out anew whether a tube is closed, and have it opened in time."""
        tube.restrict(now)
        if tube.reopens:
            self.alarms.advance(tube, tube.reopens)

    def renew_lease(self, job: Job, client: Client, lease_ends: int) -> None:
        """Let the lease of a job that the client holds end at another time."""
        past = job.marked()
        if not past.touches:
            past.leased = (job.key >> ID_BITS) - job.lease_ns()
        past.touches += 1
        client.leases.remove(job.key)
        self._set_lease(job, client, lease_ends)

    def _set_lease(self, job: Job, client: Client, lease_ends: int) -> None:
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
        tube = job.tube
        tube.reserved -= 1
        self.reserved -= 1
        if tube.closed:
            tube.closed = bool(tube.paused_until or tube.reopens) or tube.is_crowded()

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
        if client.awaits:
            self._stop_watching(client)
            return True
        self.waiting -= 1
        for tube in client.watched:
            del tube.waiting[client]
        return True

    def watch(self, client: Client, job_id: int, until: int) -> None:
        """Let a client wait for the end of a job."""
        client.wait_until = until
        client.awaits = job_id
        self.watchers.setdefault(job_id, {})[client] = None
        self.alarms.advance(client, client.wait_ends())

    def _stop_watching(self, client: Client) -> None:
        watchers = self.watchers[client.awaits]
        del watchers[client]
        if not watchers:
            del self.watchers[client.awaits]
        client.awaits = 0

    def tell_watchers(self, job_id: int, outcome: Outcome) -> None:
        """Answer those who wait for the end of a job."""
        for client in list(self.watchers.get(job_id, ())):
            self.answer(client, outcome)

    def answer(self, client: Client, answer: Answer) -> None:
        """End a client's wait with an answer."""
        self.stop_waiting(client)
        self.answers.append((client, answer))

    def serve(self, tube: Tube, now: int) -> None:
        """Hand the ready jobs of a tube to those who wait for them, as far as it is open."""
        while tube.waiting and tube.ready.size and not tube.closed:
            self._hand_over(self.take_first(tube), now)

    def _hand_over(self, job: Job, now: int) -> None:
        """Give a job that is in no place to the client that has waited longest for its tube."""
        client = next(iter(job.tube.waiting))
        self.answer(client, job)
        self.lease(job, client, now)
