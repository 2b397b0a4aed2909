"""When something is next due: one sorted collection of times for the whole broker.

Tubes and clients own at most one alarm each. An alarm may ring too early, never too late: a lease
that is deleted leaves its client's alarm as it is, and when that rings, the client is found to have
nothing due and gets the alarm it now needs. So the frequent path, reserve and delete, seldom
touches this collection, and nothing ever scans all tubes or all clients.
"""

from __future__ import annotations

from stalkd.broker.limits import ID_BITS, NEVER
from stalkd.broker.sortedkeys import SortedKeys


class Owner:
    """Whoever can have an alarm.

    ``alarm`` is its time in nanoseconds, or NEVER; ``serial`` is the owner's number, by which
    alarms of the same nanosecond are ordered.
    """

    __slots__ = ("alarm", "serial")

    def __init__(self, serial: int) -> None:
        """Have no alarm."""
        self.alarm = NEVER
        self.serial = serial

    def next_deadline(self) -> int:
        """Return when time next changes something for this owner, or NEVER."""
        raise NotImplementedError


class Alarms:
    """The alarms of all owners, in order of time, then of the owners' making."""

    __slots__ = ("_keys", "_owners")

    def __init__(self) -> None:
        """Start with no alarm."""
        self._keys = SortedKeys()
        self._owners: dict[int, Owner] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def next(self) -> int:
        """Return the time of the first alarm, or NEVER."""
        return self._keys.first() >> ID_BITS if self._keys.size else NEVER

    def advance(self, owner: Owner, when: int) -> None:
        """Make sure that ``owner`` is called at ``when`` or before."""
        if when < owner.alarm:
            self.cancel(owner)
            self._set(owner, when)

    def _set(self, owner: Owner, when: int) -> None:
        key = when << ID_BITS | owner.serial
        owner.alarm = when
        self._keys.add(key)
        self._owners[key] = owner

    def cancel(self, owner: Owner) -> None:
        """Take back an owner's alarm, if it has one."""
        if owner.alarm != NEVER:
            key = owner.alarm << ID_BITS | owner.serial
            self._keys.remove(key)
            del self._owners[key]
            owner.alarm = NEVER

    def pop_due(self, now: int) -> tuple[Owner, int] | None:
        """Remove the first alarm that is due; return its owner and its time."""
        if self.next() > now:
            return None
        key = self._keys.pop_first()
        owner = self._owners.pop(key)
        owner.alarm = NEVER
        return owner, key >> ID_BITS
