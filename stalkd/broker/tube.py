"""A tube: the named queue in which jobs wait, and what it counts."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from stalkd.broker.alarms import Owner
from stalkd.broker.limits import ID_BITS, NEVER
from stalkd.broker.sortedkeys import SortedKeys

if TYPE_CHECKING:
    from stalkd.broker.client import Client


class Tube(Owner):
    """One tube.

    ``ready``, ``delayed`` and ``buried`` hold the keys of its jobs (see ``Job.key``). ``waiting``
    holds the clients blocked on it, first come first; an OrderedDict, because the oldest entry of
    a plain dict gets slow to find once many before it are gone. ``paused_until`` is in
    nanoseconds, 0 when not paused; ``pause_s`` is what the client asked for, in seconds. ``file``
    is the number of the log's segment that holds the record of the pause, 0 when there is none.
    """

    __slots__ = (
        "buried",
        "deletes",
        "delayed",
        "file",
        "name",
        "pause_s",
        "paused_until",
        "pauses",
        "ready",
        "reserved",
        "total_jobs",
        "urgent",
        "using",
        "waiting",
        "watching",
    )

    def __init__(self, name: str, serial: int) -> None:
        """Start empty, with nobody using it."""
        super().__init__(serial)
        self.name = name
        self.ready = SortedKeys()
        self.delayed = SortedKeys()
        self.buried = SortedKeys()
        self.reserved = 0
        self.urgent = 0
        self.waiting: OrderedDict[Client, None] = OrderedDict()
        self.using = 0
        self.watching = 0
        self.paused_until = 0
        self.pause_s = 0
        self.file = 0
        self.total_jobs = 0
        self.deletes = 0
        self.pauses = 0

    def __repr__(self) -> str:
        return f"<Tube {self.name}>"

    def has_jobs(self) -> bool:
        """Tell whether any job, in any state, belongs to this tube."""
        return bool(self.ready.size or self.reserved or self.delayed.size or self.buried.size)

    def next_deadline(self) -> int:
        """Return when the first delay or the pause ends, or NEVER."""
        delay_ends = self.delayed.first() >> ID_BITS if self.delayed.size else NEVER
        return min(delay_ends, self.paused_until or NEVER)
