"""Which job a client gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stalkd.broker.limits import ID_MASK
from stalkd.broker.policy import urgency

if TYPE_CHECKING:
    from stalkd.broker.broker import Broker
    from stalkd.broker.client import Client
    from stalkd.broker.job import Job
    from stalkd.broker.tube import Tube

LOOKS: Final = 20_000
"""Tubes looked at for one batch: 5 ms."""


def best_tube(client: Client, now: int) -> Tube | None:
    """Return the watched tube, not closed, whose first ready job is the most urgent."""
    best = None
    for tube in client.watched:
        if not tube.ready.size or tube.closed:
            continue
        if best is None or _first_urgency(tube, now) < _first_urgency(best, now):
            best = tube
    return best


def _first_urgency(tube: Tube, now: int) -> int:
    key = tube.ready.first()
    policy = tube.policy
    return key if policy is None else urgency(key, policy.ageing, now)


def take_more(broker: Broker, client: Client, most: int, room: int, now: int) -> list[Job]:
    """Hand the client what is ready for it now: up to so many jobs, with bodies of so many bytes.

    The first that does not fit ends it: a less urgent one does not overtake. Fewer come to a client
    that watches very many tubes, as each of them is looked at for each job.
    """
    jobs: list[Job] = []
    most = min(most, LOOKS // len(client.watched))
    has_choice = len(client.watched) > 1
    tube = best_tube(client, now)
    while tube is not None and len(jobs) < most:
        room -= len(broker.jobs[tube.ready.first() & ID_MASK].body)
        if room < 0:
            break
        job = broker.queues.take_first(tube)
        broker.queues.lease(job, client, now)
        jobs.append(job)
        if has_choice or tube.closed or not tube.ready.size:
            tube = best_tube(client, now)
    return jobs
