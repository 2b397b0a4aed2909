"""A client of the broker: what it uses, watches, holds and waits for."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from stalkd.broker.alarms import Owner
from stalkd.broker.limits import DEADLINE_MARGIN_NS, ID_BITS, NEVER
from stalkd.broker.sortedkeys import SortedKeys

if TYPE_CHECKING:
    from stalkd.broker.chores import Chore
    from stalkd.broker.tube import Tube


class Outcome(Enum):
    """What a reserve comes to when it is not a job, and a wait for the end of one."""

    WAITING = "waiting"
    TIMED_OUT = "timed out"
    DEADLINE_SOON = "deadline soon"
    DELETED = "deleted"
    BURIED = "buried"
    GONE = "gone"


class Count(NamedTuple):
    """How many jobs a chore was about."""

    number: int


class Client(Owner):
    """One client.

    ``leases`` holds the keys (deadline, id) of the jobs it has reserved. ``wait_until`` is None
    when it does not wait, else when the wait ends in nanoseconds (NEVER: without limit).
    ``watched`` keeps the order in which tubes were added. ``awaits`` is the id of the job for whose
    end it waits, 0 if it waits for something else, or not. ``chore`` is what it has begun that
    takes a while. ``peer`` is where it is.
    """

    __slots__ = (
        "awaits",
        "chore",
        "leases",
        "peer",
        "producer",
        "used",
        "wait_until",
        "watched",
        "worker",
    )

    def __init__(self, tube: Tube, serial: int) -> None:
        """Use and watch one tube; counting that is the directory's business."""
        super().__init__(serial)
        self.used = tube
        self.watched: dict[Tube, None] = {tube: None}
        self.leases = SortedKeys()
        self.wait_until: int | None = None
        self.awaits = 0
        self.chore: Chore | None = None
        self.peer = ""
        self.producer = False
        self.worker = False

    def first_lease_end(self) -> int:
        """Return when the first of its leases ends, or NEVER."""
        return self.leases.first() >> ID_BITS if self.leases.size else NEVER

    def wait_ends(self) -> int:
        """Return when its wait ends by itself: asked-for time, or a lease about to end."""
        if self.wait_until is None:
            return NEVER
        if not self.leases.size or self.awaits:
            return self.wait_until
        return min(self.wait_until, self.first_lease_end() - DEADLINE_MARGIN_NS)

    def next_deadline(self) -> int:
        """Return when time next changes something for this client, or NEVER."""
        return min(self.first_lease_end(), self.wait_ends())
