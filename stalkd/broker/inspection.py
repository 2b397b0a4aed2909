"""What the extended commands show: lists of jobs, tubes and clients, and why a job does not run.

Times are seconds with three decimals, rounded down, unless a name says otherwise.
"""

from __future__ import annotations

from heapq import nsmallest
from itertools import islice
from typing import TYPE_CHECKING, Final

from stalkd.broker.chores import place_of
from stalkd.broker.fates import is_overdue, is_spent
from stalkd.broker.job import BURIED, DELAYED, READY, RESERVED, State
from stalkd.broker.limits import ID_BITS, ID_MASK, NEVER, NS_PER_S
from stalkd.broker.statistics import tube_statistics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalkd.broker.broker import Broker
    from stalkd.broker.client import Client
    from stalkd.broker.job import Job
    from stalkd.broker.tube import Tube

Value = str | int | float
Values = dict[str, Value]

LOOKS: Final = 20_000
"""Jobs or ids looked at for one page, and for the age of a tube's oldest job: 2 to 4 ms."""

MOST_NAMED: Final = 10
"""Jobs that a reason names."""

MANY_PRIORITIES: Final = 1_000
"""Priorities of one tube whose first jobs are looked at: 2 ms."""

MOST_HELD: Final = 100
"""Jobs that ``list-clients`` names for each client."""


def milliseconds(nanoseconds: int) -> float:
    """Return nanoseconds as seconds with three decimals, never negative."""
    return max(nanoseconds, 0) // 1_000_000 / 1_000


# -- jobs -----------------------------------------------------------------------------------------


def page(
    broker: Broker, tube: Tube, states: tuple[State, ...], after: int, limit: int
) -> tuple[list[Job], int]:
    """Return up to ``limit`` jobs of a tube by id, behind ``after``; and where to go on, or 0.

    In a large tube a page may be short, or empty, before the end: the work for one is bounded.
    """
    if tube.job_count() <= LOOKS and broker.queues.reserved <= LOOKS:
        ids = (job.id for job in _jobs_in(broker, tube, states) if job.id > after)
        found = nsmallest(limit + 1, ids)
        jobs = [broker.jobs[each] for each in found[:limit]]
        return jobs, jobs[-1].id if len(found) > limit else 0
    return _walk(broker, tube, states, after, limit)


def _jobs_in(broker: Broker, tube: Tube, states: tuple[State, ...]) -> Iterator[Job]:
    for state in states:
        if state is RESERVED:
            yield from _held_jobs(broker, tube)
        else:
            yield from (broker.jobs[key & ID_MASK] for key in place_of(tube, state))


def _held_jobs(broker: Broker, tube: Tube) -> list[Job]:
    """Return the jobs of a tube that somebody holds; for LOOKS leases in all, not for more."""
    if not tube.reserved:
        return []
    jobs = broker.jobs
    clients = broker.directory.clients
    held = (jobs[key & ID_MASK] for client in clients for key in client.leases)
    return [job for job in held if job.tube is tube]


def _walk(
    broker: Broker, tube: Tube, states: tuple[State, ...], after: int, limit: int
) -> tuple[list[Job], int]:
    """Look at one id after the other, from the first that there may be."""
    jobs: list[Job] = []
    after = max(after, min(_lowest(broker, tube, state) for state in states) - 1)
    get, last = broker.jobs.get, min(after + LOOKS, broker.last_id)
    for number in range(after + 1, last + 1):
        job = get(number)
        if job is not None and job.tube is tube and job.state in states:
            jobs.append(job)
            if len(jobs) == limit:
                last = number
                break
    return jobs, last if last < broker.last_id else 0


def _lowest(broker: Broker, tube: Tube, state: State) -> int:
    """Return an id below which no job of a tube is in a state; the lowest if it is soon found."""
    if state is RESERVED and broker.queues.reserved > LOOKS:
        return 0
    if state is RESERVED:
        return min((job.id for job in _held_jobs(broker, tube)), default=ID_MASK)
    place = place_of(tube, state)
    if place.size > LOOKS:
        return _lowest_ready(tube) if state is READY else 0
    return min((key & ID_MASK for key in place), default=ID_MASK)


def _lowest_ready(tube: Tube) -> int:
    """Look at the first of each priority, unless these are many."""
    if tube.policy is not None and tube.policy.ageing:
        return 0
    ids = [key & ID_MASK for key in islice(_firsts(tube), MANY_PRIORITIES)]
    return min(ids) if len(ids) < MANY_PRIORITIES else 0


def describe(job: Job, now: int) -> Values:
    """Return what ``list-jobs`` shows of a job."""
    terms = job.terms
    values: Values = {
        "id": job.id,
        "state": job.state.value,
        "pri": job.pri,
        "age": milliseconds(now - job.created),
        "bytes": len(job.body),
        "ttr": milliseconds(job.lease_ns()),
        "reserves": job.reserves,
    }
    if job.state in {RESERVED, DELAYED}:
        values["time-left"] = milliseconds((job.key >> ID_BITS) - now)
    if terms is None:
        return values
    if terms.key:
        values["key"] = terms.key
    if terms.expires != NEVER:
        values["expires-in"] = milliseconds(terms.expires - now)
    if terms.attempts:
        values["attempts"] = terms.attempts
    if terms.dead:
        values["dead"] = terms.dead
    if terms.death is not None:
        values["died"] = milliseconds(now - terms.death.when)
        values["died-in"] = terms.death.origin
        values["died-because"] = terms.death.reason.value
    return values


# -- why a job does not run -----------------------------------------------------------------------


def explain(broker: Broker, job: Job, now: int) -> tuple[Values, list[str]]:
    """Return what there is to know about a job, and every reason why it does not run, in words."""
    values: Values = {"tube": job.tube.name, **describe(job, now)}
    values["attempts-used"] = job.attempts()
    reasons = list(_STATE_REASONS[job.state](job, now, values))
    if job.state in {READY, DELAYED}:
        reasons += _tube_reasons(broker, job.tube, now, values)
    terms = job.terms
    if terms is not None and terms.death is not None:
        origin = terms.death.origin
        ago = milliseconds(now - terms.death.when)
        reasons.append(
            f"it is dead: its attempts in {origin} were used up {ago} s ago, and it was"
            f" {terms.death.reason.value}; {_REVIVAL[job.state]} gives it new ones"
        )
    if job.state is not RESERVED and (terms is None or terms.death is None) and is_spent(job):
        reasons.append(
            "its attempts are used up: it dies when its next lease ends, or the server starts again"
        )
    if is_overdue(job, now):
        reasons.append("its time is over: it expires when its lease ends, unless it is deleted")
    elif terms is not None and terms.expires != NEVER:
        reasons.append(f"it expires in {milliseconds(terms.expires - now)} s unless it is deleted")
    return values, reasons


def _ready(job: Job, _now: int, values: Values) -> Iterator[str]:
    ahead = 0
    for key in job.tube.ready:
        if key == job.key or ahead == LOOKS:
            break
        ahead += 1
    values["jobs-ahead"] = ahead
    if ahead == 1:
        yield "1 ready job of its tube comes first"
    elif ahead:
        more = "or more " if ahead == LOOKS else ""
        yield f"{ahead} {more}ready jobs of its tube come first"
    elif not job.tube.closed and job.tube.watching:
        yield "it is the next of its tube: a client that watches it must reserve"


def _reserved(job: Job, now: int, values: Values) -> Iterator[str]:
    holder, past = job.holder, job.past
    ends = job.key >> ID_BITS
    touches = past.touches if past is not None else 0
    since = past.leased if past is not None and touches else ends - job.lease_ns()
    values["held-by"] = holder.serial if holder is not None else 0
    values["held-by-address"] = holder.peer if holder is not None else ""
    values["held-for"] = milliseconds(now - since)
    values["touches"] = touches
    touched = {0: "never touched it", 1: "touched it once"}.get(touches)
    yield (
        f"client {values['held-by']} ({values['held-by-address']}) has held it for"
        f" {values['held-for']} s, {touched or f'touched it {touches} times'}, and keeps it for"
        f" {milliseconds(ends - now)} s more"
    )


def _delayed(job: Job, now: int, _values: Values) -> Iterator[str]:
    yield f"it is delayed for {milliseconds((job.key >> ID_BITS) - now)} s more"


def _buried(job: Job, now: int, values: Values) -> Iterator[str]:
    past = job.past
    values["buries"] = past.buries if past is not None else 0
    death = job.terms.death if job.terms is not None else None
    if death is not None and death.origin == job.tube.name:
        return  # It is not a client that has buried it.
    if past is None or past.buried is None:  # It was before the daemon started.
        yield "a client has buried it; kick-job makes it ready"
        return
    values["buried-for"] = milliseconds(now - past.buried)
    yield f"a client buried it {values['buried-for']} s ago; kick-job makes it ready"


_REVIVAL: Final = {
    READY: "move-jobs",
    DELAYED: "move-jobs or kick-job",
    BURIED: "move-jobs or kick-job",
    RESERVED: "move-jobs, when it is not held,",
}

_STATE_REASONS: Final = {READY: _ready, RESERVED: _reserved, DELAYED: _delayed, BURIED: _buried}


def _tube_reasons(broker: Broker, tube: Tube, now: int, values: Values) -> Iterator[str]:
    """Tell what keeps all jobs of a tube."""
    values["watching"], values["waiting"] = tube.watching, len(tube.waiting)
    if not tube.watching:
        yield "no client watches its tube"
    if tube.paused_until:
        values["paused-for"] = milliseconds(tube.paused_until - now)
        yield f"its tube is paused for {values['paused-for']} s more"
    policy = tube.policy
    if policy is not None and tube.is_crowded():
        values["concurrency"] = policy.concurrency
        jobs = _held_jobs(broker, tube) if broker.queues.reserved <= LOOKS else []
        yield (
            f"its tube has {tube.reserved} {'lease' if tube.reserved == 1 else 'leases'}"
            f" and may have {policy.concurrency}{_named(jobs)}"
        )
    if tube.reopens:
        values["rate-allows-in"] = milliseconds(tube.reopens - now)
        yield f"the rate of its tube allows the next reserve in {values['rate-allows-in']} s"


def _named(jobs: list[Job]) -> str:
    """Return the ids of jobs as the end of a sentence; nothing if there are none."""
    if not jobs:
        return ""
    ids = ", ".join(str(job.id) for job in jobs[:MOST_NAMED])
    more = " and others" if len(jobs) > MOST_NAMED else ""
    return f": of job {ids}" if len(jobs) == 1 else f": of the jobs {ids}{more}"


# -- tubes and clients ----------------------------------------------------------------------------


def tube_summary(broker: Broker, tube: Tube, now: int) -> Values:
    """Return what ``stats-tubes`` shows of a tube."""
    return {
        **tube_statistics(tube, now),
        "jobs-expired": tube.expired,
        "jobs-dead": tube.dead,
        "jobs-rejected": tube.rejected,
        "oldest-ready-age": _oldest_age(broker, tube, now),
    }


def _oldest_age(broker: Broker, tube: Tube, now: int) -> int:
    """Return the age of the oldest ready job in seconds.

    Within a priority the first is the oldest; so as many are looked at as there are priorities.
    Beyond MANY_PRIORITIES of them, or LOOKS jobs in a tube with ageing, it is the oldest of these.
    """
    if not tube.ready.size:
        return 0
    if tube.ready.size == 1:
        return max(now - broker.jobs[tube.ready.first() & ID_MASK].created, 0) // NS_PER_S
    ages = tube.policy is not None and tube.policy.ageing
    keys = islice(tube.ready, LOOKS) if ages else islice(_firsts(tube), MANY_PRIORITIES)
    oldest = min(broker.jobs[key & ID_MASK].created for key in keys)
    return max(now - oldest, 0) // NS_PER_S


def _firsts(tube: Tube) -> Iterator[int]:
    """Give the first ready job's key of each priority."""
    key: int | None = tube.ready.first()
    while key is not None:
        yield key
        key = tube.ready.after(((key >> ID_BITS) + 1) << ID_BITS)


def client_summary(client: Client, now: int) -> Values:
    """Return what ``list-clients`` shows of a client but for what it watches and holds."""
    values: Values = {
        "client": client.serial,
        "address": client.peer,
        "uses": client.used.name,
        "producer": int(client.producer),
        "worker": int(client.worker),
        "holds": client.leases.size,
        "waits-for": _waits_for(client),
    }
    if client.wait_until not in {None, NEVER}:
        values["waits-until-in"] = milliseconds((client.wait_until or 0) - now)
    return values


def _waits_for(client: Client) -> str:
    if client.chore is not None:
        return "a chore"
    if client.wait_until is None:
        return ""
    return f"the end of job {client.awaits}" if client.awaits else "a job"


def held_ids(client: Client) -> list[int]:
    """Return the ids of the jobs that a client holds, MOST_HELD at most, by when the lease ends."""
    return [key & ID_MASK for key in islice(client.leases, MOST_HELD)]
