"""Making a policy hold for a tube, and what there is in it already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalkd.broker.limits import ID_BITS, ID_MASK
from stalkd.broker.policy import BURST_NS, NO_POLICY, Policy, aged_key
from stalkd.broker.sortedkeys import SortedKeys

if TYPE_CHECKING:
    from stalkd.broker.broker import Broker
    from stalkd.broker.tube import Tube


def decide(broker: Broker, name: str, policy: Policy, now: int) -> None:
    """Give a tube a policy, instead of the one it had; the tube is made if missing."""
    tube = broker.directory.tube(name)
    broker.recorder.deciding(tube)
    ageing = tube.policy.ageing if tube.policy is not None else 0
    tube.policy = None if policy == NO_POLICY else policy
    if policy.rate:
        # What an earlier rate has put off does not outlast it.
        tube.paced = min(tube.paced, now + max(policy.interval, BURST_NS))
    if policy.ageing != ageing:
        _rekey(broker, tube, policy.ageing, now)
    broker.recorder.decided(tube)
    broker.queues.restrict(tube, now)
    broker.queues.serve(tube, now)
    broker.directory.drop_if_unused(tube)


def restore(broker: Broker, name: str, policy: Policy) -> Tube:
    """Give back a policy that was remembered, before there are jobs."""
    tube = broker.directory.tube(name)
    tube.policy = policy
    return tube


def _rekey(broker: Broker, tube: Tube, ageing: int, now: int) -> None:
    """Sort the ready jobs anew, in one go.

    A million take about 0.5 seconds if they have the same priority, 1.5 if they have thousands.
    """
    keys = []
    for old in tube.ready:
        job = broker.jobs[old & ID_MASK]
        if ageing:
            job.key = aged_key(job.pri, ageing, job.ready_since(now), job.id)
        else:
            job.key = job.pri << ID_BITS | job.id
        keys.append(job.key)
    keys.sort()
    tube.ready = SortedKeys.of(keys)
