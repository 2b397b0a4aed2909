"""All that is to be seen of a broker, and what a restart must bring back of it."""

from __future__ import annotations

from typing import NamedTuple

from stalkd.broker.broker import Broker
from stalkd.broker.job import BURIED, DELAYED, READY, Job, Past
from stalkd.broker.limits import ID_BITS, ID_MASK, JOB_COST, NEVER, NS_PER_S
from stalkd.broker.policy import Policy
from stalkd.broker.terms import TERMS_COST


class TermsView(NamedTuple):
    """What is to be seen of a job's terms; times are wall clock, 0 for never."""

    exist: bool
    lease: int
    expires: int = 0
    key: str = ""
    attempts: int = 0
    used: int = 0
    dead: str = ""
    death: tuple[int, str, str] | None = None


class JobView(NamedTuple):
    """All that is to be seen of a job; times are wall clock."""

    tube: str
    state: str
    pri: int
    delay: int
    ttr: int
    created: int
    delayed_until: int
    reserves: int
    timeouts: int
    releases: int
    buries: int
    kicks: int
    body: bytes
    terms: TermsView


class View(NamedTuple):
    """All that is to be seen of a broker; ids stand in the order in which they would be served."""

    jobs: dict[int, JobView]
    ready: dict[str, list[int]]
    delayed: dict[str, list[int]]
    buried: dict[str, list[int]]
    pauses: dict[str, tuple[int, int]]
    policies: dict[str, Policy]
    memory: int


def view(broker: Broker, wall: int, at: int) -> View:
    """What there is to be seen after a restart at the wall clock's time ``at``.

    Whatever is reserved is ready then, unless that was its last attempt; delays and pauses that
    have ended by then are over.
    """
    views = {job.id: _job_view(job, wall, at) for job in broker.jobs.values()}
    last = [each for each in sorted(views) if _has_ended(broker.jobs[each], views[each])]
    buried = _buried(broker)
    for number in last:
        expires = views[number].terms.expires
        dead = None if 0 < expires <= at else _dead(broker, broker.jobs[number], views[number], at)
        del views[number]
        if dead is not None:
            views[number] = dead
            if dead.state == BURIED.value:
                buried.setdefault(dead.tube, []).append(number)
    tubes = broker.directory.tubes.values()
    pauses = {
        tube.name: (tube.pause_s, tube.paused_until + wall)
        for tube in tubes
        if tube.paused_until and tube.paused_until + wall > at
    }
    return View(
        jobs=views,
        ready=_ready(broker, views, at),
        delayed=_delayed(views),
        buried=buried,
        pauses=pauses,
        policies={tube.name: tube.policy for tube in tubes if tube.policy is not None},
        memory=sum(map(_memory, views.values())),
    )


def _job_view(job: Job, wall: int, at: int) -> JobView:
    past = job.past or Past()
    until = (job.key >> ID_BITS) + wall if job.state is DELAYED else 0
    waits = until > at
    return JobView(
        tube=job.tube.name,
        state=(BURIED if job.state is BURIED else DELAYED if waits else READY).value,
        pri=job.pri,
        delay=job.delay,
        ttr=job.ttr,
        created=job.created + wall,
        delayed_until=until if waits else 0,
        reserves=job.reserves,
        timeouts=past.timeouts,
        releases=past.releases,
        buries=past.buries,
        kicks=past.kicks,
        body=job.body,
        terms=_terms_view(job, wall),
    )


def _terms_view(job: Job, wall: int) -> TermsView:
    terms = job.terms
    if terms is None:
        return TermsView(exist=False, lease=job.lease_ns(), used=job.reserves)
    death = terms.death
    return TermsView(
        exist=True,
        lease=terms.lease,
        expires=terms.expires + wall if terms.expires != NEVER else 0,
        key=terms.key,
        attempts=terms.attempts,
        used=job.reserves - terms.base,
        dead=terms.dead,
        death=(death.when + wall, death.reason.value, death.origin) if death is not None else None,
    )


def _has_ended(job: Job, seen: JobView) -> bool:
    """Tell whether a restart counts as the end of a job's last attempt.

    One that died where it is, and is ready, was held by somebody who took it by its id.
    """
    if seen.terms.death is not None and seen.terms.death[2] == seen.tube:
        return seen.state == READY.value
    policy = job.tube.policy
    allowed = policy.attempts if policy is not None else 0
    if seen.terms.attempts and seen.terms.death is None:
        allowed = seen.terms.attempts
    return seen.state == READY.value and 0 < allowed <= seen.terms.used


def _dead(broker: Broker, job: Job, seen: JobView, at: int) -> JobView:
    """What is seen of a job after its death at a restart."""
    policy = job.tube.policy
    target = (seen.terms.dead if seen.terms.death is None else "") or (
        policy.dead if policy is not None else ""
    )
    terms = seen.terms._replace(
        exist=True, expires=0, key="", used=0, death=(at, "restarted", seen.tube)
    )
    if target in {"", seen.tube}:
        return seen._replace(state=BURIED.value, terms=terms)
    found = broker.directory.tubes.get(target)
    if found is not None and found.policy is not None and found.policy.ttl:
        terms = terms._replace(expires=at + found.policy.ttl)
    return seen._replace(tube=target, terms=terms)


def _memory(seen: JobView) -> int:
    terms = seen.terms
    words = TERMS_COST + len(terms.key) + len(terms.dead) if terms.exist else 0
    return len(seen.body) + JOB_COST + words


def _buried(broker: Broker) -> dict[str, list[int]]:
    tubes = broker.directory.tubes.values()
    buried = {tube.name: [key & ID_MASK for key in tube.buried] for tube in tubes}
    return {name: ids for name, ids in buried.items() if ids}


def _delayed(views: dict[int, JobView]) -> dict[str, list[int]]:
    chosen = [each for each in views.items() if each[1].state == DELAYED.value]
    return _by_tube(sorted(chosen, key=lambda each: (each[1].delayed_until, each[0])))


def _ready(broker: Broker, views: dict[int, JobView], at: int) -> dict[str, list[int]]:
    def place(each: tuple[int, JobView]) -> tuple[int, int]:
        number, seen = each
        tube = broker.directory.tubes.get(seen.tube)
        ageing = tube.policy.ageing if tube is not None and tube.policy is not None else 0
        since = min(at, seen.created + seen.delay * NS_PER_S)
        return seen.pri * 1000 * NS_PER_S + ageing * since, number

    chosen = [each for each in views.items() if each[1].state == READY.value]
    return _by_tube(sorted(chosen, key=place))


def _by_tube(chosen: list[tuple[int, JobView]]) -> dict[str, list[int]]:
    orders: dict[str, list[int]] = {}
    for number, seen in chosen:
        orders.setdefault(seen.tube, []).append(number)
    return orders


def ready_orders(broker: Broker) -> dict[str, list[int]]:
    """The ready jobs as they stand in their tubes."""
    tubes = broker.directory.tubes.values()
    orders = {tube.name: [key & ID_MASK for key in tube.ready] for tube in tubes}
    return {name: ids for name, ids in orders.items() if ids}
