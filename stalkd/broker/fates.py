"""What becomes of jobs otherwise than by the commands of those who hold them.

A job expires, dies because its attempts are used up, or is moved to another tube; and what it is
known by beyond its id, its key and the time of its expiry, comes and goes with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalkd.broker import job as rules
from stalkd.broker.client import Outcome
from stalkd.broker.limits import ID_BITS, JOB_COST, NEVER
from stalkd.broker.sortedkeys import SortedKeys
from stalkd.broker.terms import Death, Reason, Terms

if TYPE_CHECKING:
    from stalkd.broker.broker import Broker
    from stalkd.broker.job import Job
    from stalkd.broker.tube import Tube


def cost(job: Job) -> int:
    """Return the bytes of memory that a job takes."""
    size = len(job.body) + JOB_COST
    return size if job.terms is None else size + job.terms.cost()


# -- what a job is known by -----------------------------------------------------------------------


def admit(broker: Broker, job: Job, now: int) -> None:
    """Enter a new job that has terms, or whose tube has a policy."""
    _live_as_long_as(job, job.tube, now)
    if job.terms is not None:
        broker.memory += job.terms.cost()
        enlist(broker, job)


def _live_as_long_as(job: Job, tube: Tube, now: int) -> None:
    """Give a job the lifetime that the tube's policy says, if it has none."""
    policy = tube.policy
    if policy is None or not policy.ttl:
        return
    if job.terms is None:
        job.terms = Terms(job.lease_ns())
    if job.terms.expires == NEVER:
        job.terms.expires = now + policy.ttl


def enlist(broker: Broker, job: Job) -> None:
    """Enter a job's key, and when it expires."""
    tube, terms = job.tube, job.terms
    if terms is None:
        return
    if terms.key:
        tube.keys[terms.key] = job.id
    if terms.expires != NEVER:
        if tube.expiring is None:
            tube.expiring = SortedKeys()
        tube.expiring.add(terms.expires << ID_BITS | job.id)
        broker.alarms.advance(tube, terms.expires)


def strike(job: Job) -> None:
    """Take back what ``enlist`` has entered."""
    tube, terms = job.tube, job.terms
    if terms is None:
        return
    if terms.key:
        del tube.keys[terms.key]
    if terms.expires != NEVER and tube.expiring is not None:
        try:  # noqa: SIM105 - contextlib.suppress takes as long as the removal
            tube.expiring.remove(terms.expires << ID_BITS | job.id)
        except KeyError:
            pass  # The job outlives its time, because somebody holds it.


# -- the end --------------------------------------------------------------------------------------


def remove(broker: Broker, job: Job, outcome: Outcome) -> None:
    """Forget a job that is in no place; its tube may be dropped then."""
    del broker.jobs[job.id]
    broker.recorder.deleted(job)
    broker.memory -= cost(job)
    if job.terms is not None:
        strike(job)
    if broker.queues.watchers:
        broker.queues.tell_watchers(job.id, outcome)


def expire(broker: Broker, job: Job) -> None:
    """Let a job that is in no place end unfinished."""
    job.tube.expired += 1
    broker.expired += 1
    remove(broker, job, Outcome.GONE)


def is_overdue(job: Job, now: int) -> bool:
    """Tell whether a job expires as soon as nobody holds it."""
    return job.terms is not None and job.terms.expires <= now


def is_dead(job: Job) -> bool:
    """Tell whether a job has died and was not brought to life again, wherever it is."""
    return job.terms is not None and job.terms.death is not None


def is_spent(job: Job) -> bool:
    """Tell whether a job has been reserved as often as it is allowed.

    In the tube where dead jobs go, only that tube's policy counts. One that died where it is stays
    dead, whoever takes it out by its id.
    """
    terms, policy = job.terms, job.tube.policy
    if terms is not None and terms.death is not None and terms.death.origin == job.tube.name:
        return True
    allowed = policy.attempts if policy is not None else 0
    if terms is None:
        return 0 < allowed <= job.reserves
    if terms.attempts and terms.death is None:
        allowed = terms.attempts
    return 0 < allowed <= job.reserves - terms.base


def ends(broker: Broker, job: Job, reason: Reason, now: int) -> bool:
    """Let a job expire or die whose lease has ended; tell whether it did. It is in no place."""
    if is_overdue(job, now):
        tube = job.tube
        expire(broker, job)
        broker.queues.serve(tube, now)
        broker.directory.drop_if_unused(tube)
        return True
    if is_spent(job):
        die(broker, job, reason, now)
        return True
    return False


def die(broker: Broker, job: Job, reason: Reason, now: int) -> None:
    """Put a job whose attempts are used up where its terms or the policy say, or bury it.

    It is in no place. It keeps its terms, but not its key; and a time of expiry only from where it
    goes, for somebody will want to look at it.
    """
    tube = job.tube
    terms = _reopen(broker, job)
    strike(job)
    policy = tube.policy
    # A dead job in its dead tube is not sent there again.
    own = terms.dead if terms.death is None else ""
    name = own or (policy.dead if policy is not None else "")
    terms.death = Death(now, reason, tube.name)
    terms.base = job.reserves
    terms.key, terms.expires = "", NEVER
    tube.dead += 1
    broker.dead += 1
    if name in {"", tube.name}:
        job.state = rules.DIE[job.state]
        broker.queues.add_buried(job)
    else:
        job.tube = broker.directory.tube(name)
        job.state = rules.DIE_ELSEWHERE[job.state]
        _arrive(broker, job, now)
        broker.queues.add_ready(job, now)
    _close(broker, job)
    broker.queues.tell_watchers(job.id, Outcome.BURIED)
    broker.queues.serve(tube, now)
    broker.directory.drop_if_unused(tube)


def _arrive(broker: Broker, job: Job, now: int) -> None:
    """Enter a job into the tube that it has now."""
    _live_as_long_as(job, job.tube, now)
    enlist(broker, job)


# -- a new beginning ------------------------------------------------------------------------------


def move(broker: Broker, job: Job, name: str, now: int) -> None:
    """Put a job that nobody holds into another tube, alive and with all its attempts.

    A buried one is ready there; a delayed one stays so. Its key is given up.
    """
    tube, order = job.tube, job.key >> ID_BITS
    target = broker.directory.tube(name)
    broker.queues.take(job)
    if job.terms is not None or job.reserves:
        terms = _reopen(broker, job)
        strike(job)
        terms.key = ""
        _revive(job, terms)
    else:
        broker.recorder.changing(job)
        broker.memory -= cost(job)
    job.tube = target
    _arrive(broker, job, now)
    was_delayed = job.state is rules.DELAYED
    job.state = rules.MOVE[job.state]
    if was_delayed:
        broker.queues.add_delayed(job, order)
    else:
        broker.queues.add_ready(job, now)
    _close(broker, job)
    if job.tube is not tube:
        broker.directory.drop_if_unused(tube)


def revive(broker: Broker, job: Job) -> bool:
    """Give a job that is kicked all its attempts again; tell whether ``moved`` was recorded."""
    if job.terms is None and not _counts_attempts(job.tube):
        return False
    _revive(job, _reopen(broker, job))
    _close(broker, job)
    return True


def _counts_attempts(tube: Tube) -> bool:
    return tube.policy is not None and tube.policy.attempts > 0


def _revive(job: Job, terms: Terms) -> None:
    terms.base = job.reserves
    terms.death = None


def _reopen(broker: Broker, job: Job) -> Terms:
    """Return a job's terms, to be changed; ``_close`` must follow."""
    broker.recorder.changing(job)
    broker.memory -= cost(job)
    if job.terms is None:
        job.terms = Terms(job.lease_ns())
    return job.terms


def _close(broker: Broker, job: Job) -> None:
    broker.memory += cost(job)
    broker.recorder.moved(job)
