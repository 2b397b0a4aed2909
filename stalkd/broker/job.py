"""A job, its states, and the table of what may happen to it in each.

All transitions stand in this file. The broker changes a state only through these tables, so an
illegal change is a ``KeyError`` at the place of the mistake. The diagram in docs/design.md is
checked against ``TRANSITIONS`` by a test.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from stalkd.broker.limits import NS_PER_S

if TYPE_CHECKING:
    from stalkd.broker.client import Client
    from stalkd.broker.terms import Terms
    from stalkd.broker.tube import Tube


class State(StrEnum):
    """Where a job is; the value is the word used in ``stats-job``."""

    READY = "ready"
    RESERVED = "reserved"
    DELAYED = "delayed"
    BURIED = "buried"


READY: Final = State.READY
RESERVED: Final = State.RESERVED
DELAYED: Final = State.DELAYED
BURIED: Final = State.BURIED

# One table per event: state before -> state after.
RESERVE: Final = {READY: RESERVED}
RESERVE_JOB: Final = {READY: RESERVED, DELAYED: RESERVED, BURIED: RESERVED}
RELEASE: Final = {RESERVED: READY}
RELEASE_WITH_DELAY: Final = {RESERVED: DELAYED}
BURY: Final = {RESERVED: BURIED}
KICK: Final = {BURIED: READY, DELAYED: READY}
DELAY_ENDS: Final = {DELAYED: READY}
LEASE_ENDS: Final = {RESERVED: READY}
DIE: Final = {RESERVED: BURIED, READY: BURIED}
DIE_ELSEWHERE: Final = {RESERVED: READY, READY: READY}
MOVE: Final = {READY: READY, DELAYED: DELAYED, BURIED: READY}

TRANSITIONS: Final = {
    "reserve": RESERVE,
    "reserve-job": RESERVE_JOB,
    "release": RELEASE,
    "release with delay": RELEASE_WITH_DELAY,
    "bury": BURY,
    "kick": KICK,
    "delay ends": DELAY_ENDS,
    "lease ends": LEASE_ENDS,
    "die": DIE,
    "die elsewhere": DIE_ELSEWHERE,
    "move": MOVE,
}
"""Event -> {state before: state after}. A put makes a job READY or DELAYED. A delete ends it in any
state, a reserved one only for its holder, a purge for anybody. Expiry ends it in any state, a
reserved one not before its lease ends, be it by time, by its holder or by others. "die elsewhere"
and "move" put it into another tube."""


class Past:
    """How often things happened to a job that do not happen to most jobs.

    ``touches`` counts within the current lease, which began at ``leased`` (nanoseconds). ``buried``
    is when a client last buried it (nanoseconds); None if none has since the daemon started.
    """

    __slots__ = ("buried", "buries", "kicks", "leased", "releases", "timeouts", "touches")

    def __init__(self) -> None:
        """Nothing yet."""
        self.timeouts = 0
        self.releases = 0
        self.buries = 0
        self.kicks = 0
        self.touches = 0
        self.leased = 0
        self.buried: int | None = None


class Job:
    """One job. A plain slotted object: a million of them must be cheap and acyclic to free.

    ``key`` is the job's place in the container of its state (see ``sortedkeys``):
    (priority, id) when ready, (deadline, id) when reserved or delayed, (order of burial, id) when
    buried. ``created`` is in nanoseconds, ``delay`` and ``ttr`` in seconds. Most jobs are put,
    reserved and deleted: only the others get a ``Past``. ``file`` is the number of the log's
    segment that holds the job's latest whole record, 0 when there is no log. ``terms`` is what only
    jobs of the extended commands and of tubes with a policy have.
    """

    __slots__ = (
        "body",
        "created",
        "delay",
        "file",
        "holder",
        "id",
        "key",
        "past",
        "pri",
        "reserves",
        "state",
        "terms",
        "ttr",
        "tube",
    )

    id: int
    tube: Tube
    pri: int
    delay: int
    ttr: int
    body: bytes
    created: int
    file: int
    state: State
    key: int
    holder: Client | None

    def __init__(
        self, job_id: int, tube: Tube, pri: int, delay: int, ttr: int, body: bytes, created: int
    ) -> None:
        """Make a job that is in no state's container yet."""
        self.id = job_id
        self.tube = tube
        self.pri = pri
        self.delay = delay
        self.ttr = ttr
        self.body = body
        self.created = created
        self.state = DELAYED if delay else READY
        self.file = 0
        self.holder = None
        self.reserves = 0
        self.past: Past | None = None
        self.terms: Terms | None = None

    def marked(self) -> Past:
        """Return the job's past, to be added to."""
        if self.past is None:
            self.past = Past()
        return self.past

    def lease_ns(self) -> int:
        """Return its time-to-run in nanoseconds."""
        return self.ttr * NS_PER_S if self.terms is None else self.terms.lease

    def attempts(self) -> int:
        """Return how often it has been reserved since it was put, kicked or moved."""
        return self.reserves if self.terms is None else self.reserves - self.terms.base

    def ready_since(self, now: int) -> int:
        """Return since when it has waited to be reserved, as far as ageing is concerned."""
        return min(now, self.created + self.delay * NS_PER_S)

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.state} in {self.tube.name}, {len(self.body)} bytes>"
