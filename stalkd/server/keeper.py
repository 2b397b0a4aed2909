"""What the reactor does about durability in each round.

``Keeper`` is for a daemon without a log: every reply may leave at once. ``LogKeeper`` writes the
log before the replies of a round leave, has it synced, and tells whether replies must wait for it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from stalkd.broker.limits import NEVER
from stalkd.server.syncer import Syncer

if TYPE_CHECKING:
    from stalkd.journal.log import Log

NO_DESCRIPTOR: Final = -1


class Keeper:
    """Keeps nothing. Times are in nanoseconds.

    ``is_behind`` says that no command may run now: the disk takes nothing. ``is_full`` says that
    puts are refused for want of room. ``is_busy`` says that
    there is something to do without any further event. ``failed`` is why the log was given up.
    """

    is_behind = False
    is_full = False
    is_busy = False
    failed: str | None = None

    def fileno(self) -> int:
        """Return a descriptor that is readable when ``collect`` has something; or NO_DESCRIPTOR."""
        return NO_DESCRIPTOR

    def collect(self, _now: int) -> bool:
        """Take in what the disk has done; tell whether what waits for a sync may go now."""
        return False

    def compact(self, _now: int) -> None:
        """Make the log smaller, a little, if it is time to."""

    def write(self, _now: int) -> None:
        """Write what the commands of this round have recorded."""

    def clears(self, _now: int) -> bool:
        """Tell whether the replies of this round may leave."""
        return True

    def sync(self, _now: int) -> bool:
        """Start a sync if one is due; tell whether it was started."""
        return False

    def wait(self, _now: int) -> bool:
        """Wait until the sync that runs, if any, is done; as ``collect``."""
        return False

    def next_deadline(self) -> int:
        """Return when something is due here."""
        return NEVER

    def close(self, _now: int) -> None:
        """Finish."""


class LogKeeper(Keeper):
    """Keeps a log."""

    def __init__(self, log: Log) -> None:
        """Take over a log that has been started."""
        self._log = log
        self._syncer = Syncer()
        self._is_running = False

    @property
    def is_behind(self) -> bool:  # type: ignore[override]  # it is read only
        """Tell whether no command may run now."""
        return self._log.is_behind

    @property
    def is_full(self) -> bool:  # type: ignore[override]  # it is read only
        """Tell whether the disk is full as far as puts are concerned.

        Once the log is lost, nothing needs room any more.
        """
        return self._log.failed is None and self._log.space.full

    @property
    def is_busy(self) -> bool:  # type: ignore[override]  # it is read only
        """Tell whether there is something to do without any further event."""
        return self._log.is_compacting

    @property
    def failed(self) -> str | None:  # type: ignore[override]  # it is read only
        """Return why the log was given up."""
        return self._log.failed

    def fileno(self) -> int:
        """Return a descriptor that is readable when a sync is done."""
        return self._syncer.fileno()

    def collect(self, now: int) -> bool:
        """Take in a sync that is done."""
        return self._is_running and self._collect(now, wait=False)

    def _collect(self, now: int, *, wait: bool) -> bool:
        result = self._syncer.result(wait=wait)
        if result is None:
            return False
        self._is_running = False
        task, error, duration = result
        return self._log.end_sync(task, error, duration, now)

    def compact(self, now: int) -> None:
        """Copy a little of what is old."""
        self._log.compact(now)

    def write(self, now: int) -> None:
        """Write all that is new."""
        self._log.write(now, time.time_ns() - now)

    def clears(self, now: int) -> bool:
        """Tell whether the replies of this round may leave."""
        return self._log.clears(now)

    def sync(self, now: int) -> bool:
        """Start a sync if one is due."""
        task = self._log.begin_sync(now)
        if task is None:
            return False
        self._is_running = True
        self._syncer.submit(task)
        return not self._log.is_stalled  # Otherwise it does not cover what could not be written.

    def wait(self, now: int) -> bool:
        """Wait until the sync that runs, if any, is done."""
        return self._is_running and self._collect(now, wait=True)

    def next_deadline(self) -> int:
        """Return when the log has something to do."""
        return self._log.next_deadline()

    def close(self, now: int) -> None:
        """Have everything on the disk."""
        self.wait(now)
        self._log.close(now)
        self._syncer.close()
