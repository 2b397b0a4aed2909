"""What time does to tubes, clients and chores: one thing for each alarm that rings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalkd.broker import chores, fates
from stalkd.broker import job as rules
from stalkd.broker.chores import Chore
from stalkd.broker.client import Client, Outcome
from stalkd.broker.limits import DEADLINE_MARGIN_NS, ID_BITS, ID_MASK
from stalkd.broker.terms import Reason
from stalkd.broker.tube import Tube

if TYPE_CHECKING:
    from stalkd.broker.alarms import Owner
    from stalkd.broker.broker import Broker


def ring(broker: Broker, owner: Owner, when: int, now: int) -> None:
    """Do the first thing that was due for ``owner`` by ``when``."""
    if isinstance(owner, Client):
        _ring_client(broker, owner, when, now)
    elif isinstance(owner, Tube):
        _ring_tube(broker, owner, when, now)
    elif isinstance(owner, Chore):
        chores.go_on(broker, owner, now)


def _ring_client(broker: Broker, client: Client, when: int, now: int) -> None:
    if client.first_lease_end() <= when:
        job = broker.jobs[client.leases.first() & ID_MASK]
        job.marked().timeouts += 1
        broker.timeouts += 1
        if broker.end_lease(job, Reason.TIMED_OUT, now):
            broker.recorder.expired(job)
    elif not client.awaits and client.first_lease_end() - DEADLINE_MARGIN_NS <= when:
        broker.queues.answer(client, Outcome.DEADLINE_SOON)
    else:
        broker.queues.answer(client, Outcome.TIMED_OUT)


def _ring_tube(broker: Broker, tube: Tube, when: int, now: int) -> None:
    if tube.delayed.size and tube.delayed.first() >> ID_BITS <= when:
        job = broker.jobs[tube.delayed.first() & ID_MASK]
        broker.queues.take(job)
        job.state = rules.DELAY_ENDS[job.state]
        broker.queues.add_ready(job, now)
    elif 0 < tube.paused_until <= when:
        tube.paused_until = tube.pause_s = 0
        broker.recorder.paused(tube)
        _open(broker, tube, now)
    elif tube.first_expiry() <= when:
        _expire_first(broker, tube)
    else:
        _open(broker, tube, now)


def _open(broker: Broker, tube: Tube, now: int) -> None:
    """Look whether a tube is still closed, after something that kept it so has ended."""
    broker.queues.restrict(tube, now)
    broker.queues.serve(tube, now)
    broker.directory.drop_if_unused(tube)


def _expire_first(broker: Broker, tube: Tube) -> None:
    """Handle the job of a tube that was to expire first; while it is held, it does not."""
    assert tube.expiring is not None, f"nothing expires in {tube}"  # noqa: S101 - an invariant
    job = broker.jobs[tube.expiring.first() & ID_MASK]
    if job.holder is not None:
        tube.expiring.pop_first()
        return
    broker.queues.take(job)
    fates.expire(broker, job)
    broker.directory.drop_if_unused(tube)
