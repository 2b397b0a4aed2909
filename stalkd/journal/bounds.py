"""Where the log begins, and up to where it is on the disk: what checkpoints record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalkd.broker.limits import NEVER
from stalkd.journal.limits import MARK_NS, PRESUMED_SYNCED_NS, REMOVAL_RETRY_NS
from stalkd.journal.records import Checkpoint, pack_checkpoint
from stalkd.journal.segment import segment_name

if TYPE_CHECKING:
    from stalkd.broker.broker import Broker
    from stalkd.journal.frames import Position
    from stalkd.journal.recorder import LogRecorder
    from stalkd.journal.replay import Recovered
    from stalkd.journal.segment import Segment
    from stalkd.journal.syncs import SyncTask
    from stalkd.journal.writer import Writer


class Bounds:
    """``first`` is the oldest segment that is needed, ``mark`` the end of what is certain.

    ``doomed`` are the segments to be removed after the next sync, ``stale`` files that are no part
    of the log and go with the segments around them. ``removal_due`` is when it is worth trying to
    remove the doomed, where that is urgent. Times in nanoseconds.
    """

    def __init__(self, broker: Broker, recovered: Recovered, now: int) -> None:
        """Start from what was recovered; ``attach`` must follow."""
        self._broker = broker
        self._writer: Writer
        self._recorder: LogRecorder
        self._stale = recovered.unused
        self._presumed = (now, recovered.end)
        self._sizes: dict[int, int] = {}
        self.first = recovered.first
        self.mark: Position = recovered.end
        self.mark_at = NEVER
        self._dying: list[int] = []
        self.doomed = recovered.obsolete
        self.removal_due = 0

    def attach(self, writer: Writer, recorder: LogRecorder) -> None:
        """Record through these.

        What is older than the log, with a gap before it, is held back for its space: a full disk
        may have no other.
        """
        self._writer, self._recorder = writer, recorder
        for name in names_of([number for number in self.doomed if number < self.first]):
            writer.space.hold(name)
        self.doomed = [number for number in self.doomed if number >= self.first]

    def record(self, now: int) -> None:
        """Append a checkpoint."""
        self.mark_at = NEVER
        time = now + self._recorder.wall
        checkpoint = Checkpoint(self.first, *self.mark, self._broker.last_id, time)
        self._writer.append(pack_checkpoint(checkpoint))

    def record_if_due(self, now: int) -> None:
        """Record the last sync along with other records, or after a while without any."""
        if self.mark_at != NEVER and (self._writer.has_pending() or now >= self.mark_at):
            self.record(now)

    def synced(self, mark: Position, now: int) -> None:
        """Note that all before ``mark`` is on the disk."""
        self.mark = mark
        self.mark_at = now + MARK_NS

    def presume(self, now: int) -> None:
        """Where nothing is synced, take what was written long ago to be on the disk."""
        since, position = self._presumed
        if now - since >= PRESUMED_SYNCED_NS:
            if position > self.mark:
                self.mark, self.mark_at = position, now
            self._presumed = (now, (self._writer.number, self._writer.written))

    # -- what goes ------------------------------------------------------------------------------

    def dispose(self, segment: Segment, first: int, now: int) -> None:
        """Have a segment removed that nothing needs any more; the log begins at ``first`` now."""
        self.first = first
        gone = [number for number in self._stale if number < first]
        self._stale = [number for number in self._stale if number >= first]
        self._dying += sorted([*gone, segment.number])
        self._sizes[segment.number] = segment.size
        self.record(now)
        self._recorder.lazy = self._writer.records

    def leave_out(self, void: list[int], first: int, now: int) -> None:
        """Have segments removed, with those around them, that are no part of the log any more."""
        self.first = first
        self._stale = sorted([*self._stale, *void])
        self.record(now)

    def written(self) -> None:
        """Note that all that was recorded has been written: what says where the log begins, too."""
        self.doomed += self._dying
        self._dying = []

    def take_doomed(self, lacking: int) -> tuple[list[int], list[int]]:
        """Return the segments that a sync which begins now is to remove, and those that it frees.

        The latter are left as they are, since so many bytes are lacking in the reserve.
        """
        doomed: list[int] = []
        kept: list[int] = []
        for number in self.doomed:
            size = self._sizes.get(number, 0)
            (kept if size and lacking > 0 else doomed).append(number)
            lacking -= size
        self.doomed = []
        return doomed, kept

    def end_removal(self, task: SyncTask, now: int, *, is_synced: bool) -> None:
        """Take back those that a task could not remove; there is no hurry with them now."""
        for number in task.doomed[: task.removed]:
            self._sizes.pop(number, None)
        left = task.doomed[task.removed :]
        if left:
            self.removal_due = now + REMOVAL_RETRY_NS
        if not is_synced:
            left += task.kept
        self.doomed = left + self.doomed
        if is_synced and task.kept:
            self._hold(task.kept)

    def _hold(self, kept: list[int]) -> None:
        writer = self._writer
        for number in kept:
            del self._sizes[number]
            writer.space.hold(segment_name(number))
        writer.space.give_back(writer.live + 2 * writer.space.chunk)  # The last was too large.

    def is_removing(self, task: SyncTask | None, now: int) -> bool:
        """Tell whether segments are being removed by ``task``, or are about to be."""
        if task is not None:
            return bool(task.doomed or task.kept)
        return bool(self.doomed) and self.removal_due <= now

    @property
    def doomed_bytes(self) -> int:
        """Return the bytes of files that are about to be removed."""
        return sum(self._sizes.values())


def names_of(numbers: list[int]) -> list[str]:
    """Return the names of segments' files."""
    return [segment_name(number) for number in numbers]
