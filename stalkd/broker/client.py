"""A client of the broker: what it uses, watches, holds and waits for."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from stalkd.broker.alarms import Owner
from stalkd.broker.limits import DEADLINE_MARGIN_NS, ID_BITS, NEVER
from stalkd.broker.sortedkeys import SortedKeys

if TYPE_CHECKING:
    from stalkd.broker.tube import Tube


class Outcome(Enum):
    """What a reserve comes to when it is not a job."""

    WAITING = "waiting"
    TIMED_OUT = "timed out"
    DEADLINE_SOON = "deadline soon"


class Client(Owner):
    """One client.

    ``leases`` holds the keys (deadline, id) of the jobs it has reserved. ``wait_until`` is None
    when it does not wait, else when the wait ends in nanoseconds (NEVER: without limit).
    ``watched`` keeps the order in which tubes were added.
    """

    __slots__ = ("leases", "producer", "used", "wait_until", "watched", "worker")

    def __init__(self, tube: Tube, serial: int) -> None:
        """Use and watch one tube; counting that is the directory's business."""
        super().__init__(serial)
        self.used = tube
        self.watched: dict[Tube, None] = {tube: None}
        self.leases = SortedKeys()
        self.wait_until: int | None = None
        self.producer = False
        self.worker = False

    def first_lease_end(self) -> int:
        """Return when the first of its leases ends, or NEVER."""
        return self.leases.first() >> ID_BITS if self.leases.size else NEVER

    def wait_ends(self) -> int:
        """Return when its wait ends by itself: asked-for time, or a lease about to end."""
        if self.wait_until is None:
            return NEVER
        if not self.leases.size:
            return self.wait_until
        return min(self.wait_until, self.first_lease_end() - DEADLINE_MARGIN_NS)

    def next_deadline(self) -> int:
        """Return when time next changes something for this client, or NEVER."""
        return min(self.first_lease_end(), self.wait_ends())
