"""What is on the disk for certain, and when the next sync is due.

Records are counted; a sync covers the records that were written before it began. A reply may leave
when all it depends on is synced, or was written less than the sync time (-f) ago: so no more than
that is at risk, even while the disk hangs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stalkd.broker.limits import NEVER
from stalkd.journal.files import FileRemovedError
from stalkd.journal.limits import LAZY_SYNC_NS

if TYPE_CHECKING:
    from stalkd.journal.files import Directory, File
    from stalkd.journal.frames import Position


@dataclass(slots=True)
class SyncTask:
    """Work for another thread: everything up to ``mark`` gets on the disk.

    That is the ``upto``-th record, or ``total`` bytes since the daemon was started.

    Then the ``doomed`` segments are removed, which nothing needs any more, as what has been synced
    says: which of them a power cut brings back does not matter. ``removed`` counts those that are
    gone; ``failure`` is why this is not certain. ``kept`` may go as well, but stay for their space.
    """

    upto: int
    total: int
    mark: Position
    current: File
    retired: list[File]
    new_files: bool
    directory: Directory
    doomed: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    removed: int = 0
    failure: OSError | None = None

    def run(self) -> None:
        """Sync. Raises OSError when it is not certain that all is on disk."""
        for file in [*self.retired, self.current]:
            file.sync()
            if not file.is_there():
                raise FileRemovedError(file.name)
        if self.new_files:
            self.directory.sync()
        for file in self.retired:
            file.close()
        self.retired = []
        self._remove()

    def _remove(self) -> None:
        for name in self.names:
            try:
                self.directory.remove(name)
            except FileNotFoundError:
                pass
            except OSError:
                break  # It is in nobody's way; the next task tries again.
            self.removed += 1
        try:
            if self.removed:
                self.directory.sync()
        except OSError as error:
            self.failure = error


class Syncs:
    """The records that are synced, and since when others wait for it. Times in nanoseconds."""

    def __init__(self, interval: int | None) -> None:
        """Start with nothing; ``interval`` is how long records may wait, None for ever."""
        self.interval = interval
        self.done = 0
        self.count = 0
        self.last_ns = 0
        self.covered = 0
        self.running: SyncTask | None = None
        self._synced_bytes = 0
        self._demanded = 0
        self._urgent_since = self._urgent_next = NEVER
        self._lazy_since = self._lazy_next = NEVER

    def wrote(self, now: int, *, urgent: bool, lazy: bool) -> None:
        """Note that records were written: some that replies depend on, some that none does."""
        if self.running is None:
            if urgent and now < self._urgent_since:
                self._urgent_since = now
            if lazy and now < self._lazy_since:
                self._lazy_since = now
            return
        if urgent and now < self._urgent_next:
            self._urgent_next = now
        if lazy and now < self._lazy_next:
            self._lazy_next = now

    def clears(self, now: int) -> bool:
        """Tell whether a reply may leave that depends on all that is written."""
        if self._demanded > self.done:
            return False
        if self.interval is None:
            return True
        return now - min(self._urgent_since, self._urgent_next) < self.interval

    def unsynced(self, total: int) -> int:
        """Return how many of ``total`` bytes written wait for a sync."""
        return total - self._synced_bytes if self.interval is not None else 0

    def due(self) -> int:
        """Return when the next sync is to begin, or NEVER."""
        if self._demanded > self.done and self.running is None:
            return 0
        if self.interval is None or self.running is not None:
            return NEVER
        # Early enough to be done in time, if it takes as long as the last one.
        early = min(self.interval // 2, self.last_ns * 2)
        lazy = self._lazy_since + max(self.interval, LAZY_SYNC_NS)
        return min(self._urgent_since + self.interval - early, lazy)

    def began(self, task: SyncTask) -> None:
        """Note that a sync has begun."""
        self.running = task

    def ended(self, duration: int) -> None:
        """Note that the sync which ran was good."""
        task = self.running
        assert task is not None, "a sync ended that had not begun"  # noqa: S101 - an invariant
        self.count += 1
        self.covered += task.upto - self.done
        self.done = task.upto
        self._synced_bytes = task.total
        self.last_ns = duration
        self._shift()

    def demand(self, records: int) -> None:
        """Let no reply leave before so many records are synced, whatever the interval."""
        self._demanded = records

    def restart(self, now: int) -> None:
        """Note that all that was not certain is to be written again, now."""
        self.running = None
        self._urgent_since = min(self._urgent_since, self._urgent_next, now)
        self._urgent_next = self._lazy_since = self._lazy_next = NEVER

    def _shift(self) -> None:
        self.running = None
        self._urgent_since, self._urgent_next = self._urgent_next, NEVER
        self._lazy_since, self._lazy_next = self._lazy_next, NEVER
