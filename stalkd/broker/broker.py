"""The broker: what each command does to jobs and tubes, and what time does to them.

All methods run to completion: no await, no I/O, no clock; ``now`` is monotonic nanoseconds. A
method returns what came of it. What happens to *other* clients meanwhile (a waiting one gets a
job, a wait ends) is appended to ``queues.answers``, which the caller empties.

The rules follow beanstalkd 1.12: its doc/protocol.txt and its observed behaviour;
stalkd-protocol(7) lists where they differ. An exception that leaves a method is a broken
invariant, never a client's mistake.
"""

from __future__ import annotations

from stalkd.broker import chores, fates
from stalkd.broker import job as rules
from stalkd.broker.alarms import Alarms
from stalkd.broker.bells import ring
from stalkd.broker.choice import best_tube
from stalkd.broker.client import Client, Outcome
from stalkd.broker.directory import Directory
from stalkd.broker.job import RESERVED, Job
from stalkd.broker.limits import (
    CHORES_PER_TICK,
    DEADLINE_MARGIN_NS,
    ID_MASK,
    JOB_COST,
    MIN_TTR_S,
    NS_PER_S,
    TICK_LIMIT,
)
from stalkd.broker.queues import Queues
from stalkd.broker.recorder import NO_RECORDER, Recorder
from stalkd.broker.terms import Reason
from stalkd.broker.tube import Tube


class Broker:
    """All there is: ``directory`` (tubes, clients), ``queues`` (jobs), ``alarms`` (time).

    ``memory`` is the bytes that jobs take (see ``fates.cost``). ``recorder`` is told of
    each change that a restart must know. ``is_behind`` says that the log takes no more for now, so
    chores rest, ``is_full`` that its disk is full; ``chore_steps`` is how many steps of chores may
    still be done in this tick.
    """

    def __init__(self) -> None:
        """Start with nothing but the default tube."""
        self.alarms = Alarms()
        self.directory = Directory(self.alarms)
        self.queues = Queues(self.alarms)
        self.jobs = self.queues.jobs
        self.last_id = 0
        self.recorder: Recorder = NO_RECORDER
        self.memory = 0
        self.is_behind = False
        self.is_full = False
        self.chore_steps = CHORES_PER_TICK
        self.total_jobs = 0
        self.timeouts = 0
        self.expired = 0
        self.dead = 0
        self._interrupted: list[Job] = []

    # -- what a restart brings back -------------------------------------------------------------

    def record_with(self, recorder: Recorder) -> None:
        """Tell ``recorder`` of every change from now on."""
        self.recorder = self.queues.recorder = self.directory.recorder = recorder

    def restore(self, job: Job, order: int, now: int) -> None:
        """Put back a job that was remembered, in the state it has, without counting it as new.

        ``order`` is when its delay ends in nanoseconds if it is delayed, the order of its burial if
        it is buried. To be called before there are clients.
        """
        self.jobs[job.id] = job
        self.memory += len(job.body) + JOB_COST
        self.last_id = max(self.last_id, job.id)
        if job.terms is not None:
            self.memory += job.terms.cost()
            fates.enlist(self, job)
        if job.state is rules.DELAYED and order > now:
            self.queues.add_delayed(job, order)
        elif job.state is rules.BURIED:
            self.queues.burials = max(self.queues.burials, order)
            self.queues.restore_buried(job, order)
        else:
            job.state = rules.READY
            self.queues.add_ready(job, now)
            is_special = job.terms is not None or job.tube.policy is not None
            if is_special and fates.is_spent(job):
                self._interrupted.append(job)

    def end_interrupted_leases(self, now: int) -> None:
        """Let the jobs end that were on their last attempt when the daemon before ended.

        They die, in the order of their ids, unless they have expired meanwhile. To be called once
        what a restart must know is recorded again.
        """
        jobs, self._interrupted = self._interrupted, []
        for job in sorted(jobs, key=lambda job: job.id):
            self.queues.take(job)
            fates.ends(self, job, Reason.RESTARTED, now)

    def restore_pause(self, name: str, seconds: int, until: int) -> Tube:
        """Put back a pause; the tube lives at least until it ends, or somebody leaves the tube."""
        tube = self.directory.tube(name)
        tube.pause_s = seconds
        tube.paused_until = until
        tube.closed = True
        self.alarms.advance(tube, until)
        return tube

    # -- the life of a job ----------------------------------------------------------------------

    def new_id(self) -> int:
        """Return the next job id. Ids are never used twice."""
        self.last_id += 1
        return self.last_id

    def put(self, job: Job, now: int, delay_ends: int = 0) -> None:
        """Queue a new job, made with an id from ``new_id``.

        Whether its tube takes it, and whether its key is free, is asked before. ``delay_ends`` is
        for a delay that is no whole number of seconds.
        """
        job.ttr = max(job.ttr, MIN_TTR_S)
        self.jobs[job.id] = job
        self.memory += len(job.body) + JOB_COST
        self.total_jobs += 1
        tube = job.tube
        tube.total_jobs += 1
        if tube.policy is not None or job.terms is not None:
            fates.admit(self, job, now)
        if job.delay:
            self.queues.add_delayed(job, delay_ends or now + job.delay * NS_PER_S)
            self.recorder.put(job)
        else:
            self.recorder.put(job)
            self.queues.add_ready(job, now)

    def delete(self, client: Client, job_id: int, now: int) -> bool:
        """Delete a job that the client holds, or that nobody holds. False: no such job."""
        job = self.jobs.get(job_id)
        if job is None or (job.state is RESERVED and job.holder is not client):
            return False
        self.queues.take(job)
        del self.jobs[job_id]
        self.recorder.deleted(job)
        self.memory -= len(job.body) + JOB_COST
        if job.terms is not None:
            self.memory -= job.terms.cost()
            fates.strike(job)
        if self.queues.watchers:
            self.queues.tell_watchers(job_id, Outcome.DELETED)
        tube = job.tube
        tube.deletes += 1
        if tube.waiting:  # The end of this job's lease may have opened the tube.
            self.queues.serve(tube, now)
        if not tube.using and not tube.watching:
            self.directory.drop_if_unused(tube)
        return True

    def release(self, client: Client, job_id: int, pri: int, delay: int, now: int) -> bool:
        """Give a held job back, with a new priority and delay in seconds. False: not held."""
        job = self._held(client, job_id)
        if job is None:
            return False
        self.queues.take(job)
        job.pri = pri
        job.delay = delay
        job.marked().releases += 1
        tube = job.tube
        is_special = tube.policy is not None or job.terms is not None
        if is_special and fates.ends(self, job, Reason.RELEASED, now):
            return True
        if delay:
            job.state = rules.RELEASE_WITH_DELAY[job.state]
            self.queues.add_delayed(job, now + delay * NS_PER_S)
            if is_special:
                self.queues.serve(tube, now)
        else:
            job.state = rules.RELEASE[job.state]
            self.queues.add_ready(job, now)
        self.recorder.changed(job)
        return True

    def bury(self, client: Client, job_id: int, pri: int, now: int) -> bool:
        """Put a held job aside until it is kicked. False: not held."""
        job = self._held(client, job_id)
        if job is None:
            return False
        self.queues.take(job)
        job.pri = pri
        past = job.marked()
        past.buries += 1
        past.buried = now
        if fates.is_overdue(job, now):
            return fates.ends(self, job, Reason.RELEASED, now)
        job.state = rules.BURY[job.state]
        self.queues.add_buried(job)
        self.recorder.changed(job)
        if self.queues.watchers:
            self.queues.tell_watchers(job_id, Outcome.BURIED)
        self.queues.serve(job.tube, now)
        return True

    def touch(self, client: Client, job_id: int, now: int) -> bool:
        """Start the time-to-run of a held job anew. False: not held."""
        job = self._held(client, job_id)
        if job is None:
            return False
        self.queues.renew_lease(job, client, now + job.lease_ns())
        return True

    def touch_for(self, client: Client, job_id: int, lease_ends: int) -> bool:
        """Let the lease of a held job end at a time. False: not held."""
        job = self._held(client, job_id)
        if job is None:
            return False
        self.queues.renew_lease(job, client, lease_ends)
        return True

    def kick(self, tube: Tube, bound: int, now: int) -> int:
        """Make up to ``bound`` buried jobs ready, or delayed ones if none is buried; count them."""
        place = tube.buried if tube.buried.size else tube.delayed
        kicked = min(bound, place.size)
        for _ in range(kicked):
            self._kick(self.jobs[place.first() & ID_MASK], now)
        return kicked

    def kick_job(self, job_id: int, now: int) -> bool:
        """Make one buried or delayed job ready. False: no such job."""
        job = self.jobs.get(job_id)
        if job is None or job.state not in rules.KICK:
            return False
        self._kick(job, now)
        return True

    def _kick(self, job: Job, now: int) -> None:
        self.queues.take(job)
        job.marked().kicks += 1
        job.state = rules.KICK[job.state]
        is_recorded = fates.revive(self, job)
        self.queues.add_ready(job, now)
        if not is_recorded:
            self.recorder.changed(job)

    def _held(self, client: Client, job_id: int) -> Job | None:
        job = self.jobs.get(job_id)
        return job if job is not None and job.holder is client else None

    # -- reserving ------------------------------------------------------------------------------

    def reserve(self, client: Client, wait_until: int, now: int) -> Job | Outcome:
        """Hand the client the most urgent job of the tubes that it watches.

        When there is none: DEADLINE_SOON if a lease of its own is about to end; TIMED_OUT if
        ``wait_until`` (NEVER for no limit) is not after ``now``; else the client waits, and its
        answer comes through ``queues.answers``.
        """
        tube = best_tube(client, now)
        if tube is not None and tube.expiring is not None:
            tube = self._without_overdue(client, tube, now)
        if tube is not None:
            job = self.queues.take_first(tube)
            self.queues.lease(job, client, now)
            return job
        if client.leases.size and client.first_lease_end() - DEADLINE_MARGIN_NS <= now:
            return Outcome.DEADLINE_SOON
        if wait_until <= now:
            return Outcome.TIMED_OUT
        self.queues.wait(client, wait_until)
        return Outcome.WAITING

    def _without_overdue(self, client: Client, tube: Tube | None, now: int) -> Tube | None:
        """Let jobs expire that are due to, and would be handed out; return where the next one is.

        When very many expire at once, time has not caught up with all of them.
        """
        for _ in range(TICK_LIMIT):
            if tube is None:
                break
            job = self.jobs[tube.ready.first() & ID_MASK]
            if not fates.is_overdue(job, now):
                break
            self.queues.take(job)
            fates.expire(self, job)
            self.directory.drop_if_unused(tube)
            tube = best_tube(client, now)
        return tube

    def reserve_job(self, client: Client, job_id: int, now: int) -> Job | None:
        """Hand the client this very job, whatever its tube, unless somebody holds it."""
        job = self.jobs.get(job_id)
        if job is None or job.state not in rules.RESERVE_JOB:
            return None
        self.queues.take(job)
        self.queues.lease(job, client, now)
        return job

    # -- tubes and clients ----------------------------------------------------------------------

    def pause(self, name: str, seconds: int, now: int) -> bool:
        """Let nobody reserve from a tube for some seconds (0: end a pause). False: no such tube."""
        tube = self.directory.tubes.get(name)
        if tube is None:
            return False
        tube.pauses += 1
        tube.pause_s = seconds
        tube.paused_until = now + seconds * NS_PER_S if seconds else 0
        self.queues.restrict(tube, now)
        if seconds:
            self.alarms.advance(tube, tube.paused_until)
        else:
            self.queues.serve(tube, now)
        self.recorder.paused(tube)
        if not seconds:
            self.directory.drop_if_unused(tube)
        return True

    def disconnect(self, client: Client, now: int) -> None:
        """Forget a client; the jobs it held go back, the most urgent first, uncounted."""
        self.queues.stop_waiting(client)
        chores.stop(self, client)
        held = [self.jobs[key & ID_MASK] for key in client.leases]
        for job in sorted(held, key=lambda job: (job.pri, job.id)):
            self.end_lease(job, Reason.DISCONNECTED, now)
        self.directory.leave(client)

    def end_lease(self, job: Job, reason: Reason, now: int) -> bool:
        """End a lease without a word from its holder; tell whether the job is ready again."""
        self.queues.take(job)
        is_special = job.terms is not None or job.tube.policy is not None
        if is_special and fates.ends(self, job, reason, now):
            return False
        job.state = rules.LEASE_ENDS[job.state]
        self.queues.add_ready(job, now)
        return True

    # -- time -----------------------------------------------------------------------------------

    def next_deadline(self) -> int:
        """Return when ``tick`` is needed next, or NEVER."""
        return self.alarms.next()

    def tick(self, now: int) -> None:
        """Do what is due at ``now``: leases, delays, pauses, expiries and waits that end.

        Handles at most TICK_LIMIT deadlines; ``next_deadline`` tells whether more are due. The
        result does not depend on how often it is called: what was due at different times is done
        in the order of these times.
        """
        self.chore_steps = 0 if self.is_behind else CHORES_PER_TICK
        for _ in range(TICK_LIMIT):
            due = self.alarms.pop_due(now)
            if due is None:
                return
            owner, when = due
            if owner.next_deadline() <= when:
                ring(self, owner, when, now)
            self.alarms.advance(owner, owner.next_deadline())
