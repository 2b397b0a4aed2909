"""What an operator has decided for a tube, and when that keeps its jobs from being reserved.

A rate is kept by spacing: the next reserve is allowed 1/rate seconds after the one before. A timer
cannot be that exact at high rates, so what falls within BURST_NS may come together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from stalkd.broker.limits import ID_BITS, NS_PER_S

MILLI: Final = 1_000
"""Rates and ageing have up to three decimals and are kept in thousandths."""

AGEING_SCALE: Final = MILLI * NS_PER_S
"""Units of an aged key's order in one point of priority."""

BURST_NS: Final = 10_000_000
"""How far reserves of a high rate may come early: ten rounds of the daemon."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for a tube; 0 and "" stand for no such rule.

    ``attempts`` are the reserves that a job is allowed, ``dead`` the tube for it then. ``ttl`` is
    the lifetime in nanoseconds of jobs that come in without one. ``max_jobs`` is how many jobs
    there may be before puts are refused. ``rate`` is thousandths of reserves per second,
    ``concurrency`` leases at once, ``ageing`` thousandths of a point of priority that a job gains
    for each second of waiting. ``interval`` is the nanoseconds from one reserve to the next at this
    rate, ``slack`` how far one may come early.
    """

    attempts: int = 0
    dead: str = ""
    ttl: int = 0
    max_jobs: int = 0
    rate: int = 0
    concurrency: int = 0
    ageing: int = 0
    interval: int = field(init=False, compare=False)
    slack: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Work out what follows: it is needed for each reserve."""
        interval = MILLI * NS_PER_S // self.rate if self.rate else 0
        object.__setattr__(self, "interval", interval)
        object.__setattr__(self, "slack", max(0, BURST_NS - interval))


NO_POLICY: Final = Policy()


def aged_key(pri: int, ageing: int, ready_since: int, job_id: int) -> int:
    """Return the key of a ready job in a tube with ageing.

    All jobs gain at the same pace, so what one has gained over another never changes: its head
    start. It is in the key once for all.
    """
    return (pri * AGEING_SCALE + ageing * ready_since) << ID_BITS | job_id


def urgency(key: int, ageing: int, now: int) -> int:
    """Return what compares a ready job's key with those of other tubes: its priority now, and id.

    The priority may have become negative.
    """
    if not ageing:
        return key
    pri = ((key >> ID_BITS) - ageing * now) // AGEING_SCALE
    return pri << ID_BITS | key & ((1 << ID_BITS) - 1)
