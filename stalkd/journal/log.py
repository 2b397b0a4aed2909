"""The write-ahead log while the daemon runs: the one door to it.

Its user appends through the broker's recorder, and then in each round calls ``write``, asks
``clears`` whether replies may leave, and runs the sync task that ``begin_sync`` gives, in a thread
if it likes, then ``end_sync``. Only the task waits for the disk.

When a write or a sync fails, the segment is not trusted again: what was not certain to be on disk
is written once more, into a new segment that says where the old one ends. If that fails as well, or
somebody has removed the file, ``failed`` says why, and nothing is recorded any more. With -F
nothing is certain, and less is written once more; see ``Rescue.move``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stalkd.broker.limits import NEVER
from stalkd.broker.recorder import NO_RECORDER
from stalkd.journal.bounds import Bounds, names_of
from stalkd.journal.compactor import Compactor
from stalkd.journal.files import FileRemovedError, is_full
from stalkd.journal.limits import BEHIND_BYTES, LEAST_SEGMENT, MANY_RETIRED, RETRY_NS
from stalkd.journal.news import STALLED, Fullness, hint, reason
from stalkd.journal.recorder import LogRecorder
from stalkd.journal.rescue import Rescue
from stalkd.journal.segment import Segment, segment_name
from stalkd.journal.space import Space
from stalkd.journal.statistics import statistics
from stalkd.journal.syncs import Syncs, SyncTask
from stalkd.journal.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalkd.broker.broker import Broker
    from stalkd.journal.files import Directory
    from stalkd.journal.options import LogOptions
    from stalkd.journal.replay import Recovered

CLOSING_ATTEMPTS: Final = 3
"""Syncs at the end: one for the records, one for the mark that says so, one if a segment fails."""


class Log:
    """A log that is written."""

    def __init__(
        self,
        directory: Directory,
        broker: Broker,
        recovered: Recovered,
        options: LogOptions,
        now: int,
        wall: int,
        tell: Callable[..., None],
    ) -> None:
        """Go on after what was recovered, in a new segment, and record what ``broker`` does.

        ``wall`` is the wall clock's lead over the broker's; ``tell(event, **fields)`` is called
        with what the operator should know. Raises OSError when the log cannot be written.
        """
        size = max(options.segment_bytes, LEAST_SEGMENT)
        self._broker = broker
        self._directory = directory
        self._tell = tell
        self._fullness = Fullness(directory.path, tell)
        self.segments = recovered.segments
        self.bounds = Bounds(broker, recovered, now)
        self.space = Space(directory, size)
        self.writer = Writer(
            directory, self.space, recovered.log_id, size, keeps=options.interval is not None
        )
        self.writer.live = sum(segment.live for segment in self.segments.values())
        self.recorder = LogRecorder(self.writer, self.segments, wall)
        self.compactor = Compactor(
            broker, self.writer, self.recorder, self.segments, size, self._on_clean
        )
        self.bounds.attach(self.writer, self.recorder)
        self.syncs = Syncs(options.interval)
        self._rescue = Rescue(broker, self.writer, self.recorder, self.compactor, self.bounds)
        self.failed: str | None = None
        self._recovering = False
        self._task: SyncTask | None = None
        self._compacted = self._seen_urgent = self._seen_lazy = 0
        self._in_flight: list[list[bytes]] = []
        self._new_files = False
        self._retry_at = self._compact_at = NEVER
        self._write_error: OSError | None = None
        self._now, self.is_compacting = now, False
        self._begin(recovered)
        broker.record_with(self.recorder)

    def _begin(self, recovered: Recovered) -> None:
        """Start the first segment of this run; it is on disk before anybody relies on it.

        So is what an earlier daemon wrote and did not live to sync.
        """
        for number in recovered.unsynced:
            self._directory.sync_file(segment_name(number))
        self._directory.sync()
        self.compactor.take_over(recovered)
        self.writer.on_segment = self._on_segment
        self.writer.start(recovered.next_number, recovered.end, 0)
        self.writer.write()
        self.writer.file.sync()
        self._directory.sync()
        self.writer.take_kept()
        self.bounds.mark = (self.writer.number, self.writer.written)
        self._new_files = False
        self.admits(0)
        self.space.refill(self.writer.live)
        self.is_compacting = self.space.full  # Clients may have to wait until this makes room.
        self._fullness.look(self._now, is_full=self.space.full)

    # -- in each round --------------------------------------------------------------------------

    def admits(self, body: int) -> bool:
        """Tell whether a put with so large a body finds room on the disk."""
        if self.failed is not None:
            return False
        if not self.space.full and self.writer.has_room(body):
            return True
        return self.writer.secure(body)

    def demand_sync(self) -> None:
        """Let no reply leave that is made now before all is on the disk."""
        self.syncs.demand(self.writer.records)

    def write(self, now: int, wall: int) -> None:
        """Write what was recorded; ``wall`` is the wall clock's lead now."""
        if self.failed is not None or self._write_error is not None:
            return
        self._now = now
        self.recorder.wall = wall
        if self.syncs.interval is None:
            self.bounds.presume(now)
        self.bounds.record_if_due(now)
        if not (self.is_stalled and now < self._retry_at):
            try:
                self.writer.write()
            except OSError as error:
                self._cannot_write(error)
            else:
                self._wrote()
        if not self.is_stalled:
            self._fullness.look(now, is_full=self.space.full)

    def clears(self, now: int) -> bool:
        """Tell whether replies may leave that were made up to now."""
        if self.failed is not None:
            return True
        return self._write_error is None and not self.is_stalled and self.syncs.clears(now)

    def compact(self, now: int) -> None:
        """Copy a little, if it is time to."""
        self._compact_at = NEVER
        if self.failed is not None or self.is_stalled or self._write_error is not None:
            self.is_compacting = False
            return
        written, self._compacted = self.writer.total - self._compacted, self.writer.total
        if written or self.is_compacting or self.space.full:
            if self.space.full and (self.compactor.gains() or not self.admits(0)):
                self.space.refill(self.writer.live)
            try:
                self.is_compacting = self.compactor.work(written)
                self.space.give_back(self.writer.live + 2 * self.space.chunk)  # Puts are let in.
            except OSError:  # No new segment can be made now; a write would tell.
                self.is_compacting = False
                self._compact_at = now + RETRY_NS if self.space.full else NEVER
            if self.compactor.is_stuck() and not self.bounds.is_removing(self._task, now):
                self._compact_at = now + RETRY_NS

    def next_deadline(self) -> int:
        """Return when ``write`` or ``begin_sync`` has something to do by itself, or NEVER."""
        if self.failed is not None or self._write_error is not None:
            return NEVER  # In the latter case, a task runs.
        due = NEVER if self._task is not None else self._sync_due()
        if self.is_stalled:
            return min(due, self._retry_at)
        due = min(due, self.bounds.mark_at, self._compact_at, self._fullness.due)
        return 0 if self.is_compacting else due

    @property
    def is_behind(self) -> bool:
        """Tell whether the disk takes too little for further commands to be run."""
        if self.failed is not None:
            return False
        if self._write_error is not None or self.is_stalled:
            return True
        if self.syncs.unsynced(self.writer.total) > BEHIND_BYTES:
            return True
        if not self.space.full or self._compact_at != NEVER:
            return False  # Nobody need wait for a cleaning that cannot be done now.
        removing = self.bounds.is_removing(self._task, self._now)
        return self.compactor.is_cramped(removing=removing)

    # -- syncs ----------------------------------------------------------------------------------

    def begin_sync(self, now: int) -> SyncTask | None:
        """Return what is to be synced now, if anything; ``end_sync`` must follow."""
        idle = self._task is None and self.failed is None
        if not idle or now < self._sync_due():
            return None
        if self.writer.has_pending() and not self.is_stalled:
            return None
        return self._make_task()

    def _sync_due(self) -> int:
        if self.bounds.doomed and self.bounds.removal_due <= self._now:
            return 0  # With -F, too: a copy is on the disk before the original goes.
        if self.syncs.unsynced(self.writer.total) > BEHIND_BYTES // 2:
            return 0
        if len(self.writer.retired) >= MANY_RETIRED:
            return 0
        return self.syncs.due()

    def _make_task(self) -> SyncTask:
        writer = self.writer
        doomed, kept = self.bounds.take_doomed(self.space.lacking(writer.live))
        task = SyncTask(
            upto=writer.written_records(),
            total=writer.total,
            mark=(writer.number, writer.written),
            current=writer.file,
            retired=writer.retired,
            new_files=self._new_files,
            directory=self._directory,
            doomed=doomed,
            names=names_of(doomed),
            kept=kept,
        )
        writer.retired = []
        self._new_files = False
        self._in_flight = writer.take_kept()
        self._task = task
        self.syncs.began(task)
        return task

    def end_sync(self, task: SyncTask, error: OSError | None, duration: int, now: int) -> bool:
        """Take in what came of a task; it took ``duration`` nanoseconds.

        Tell whether what it was to cover is certain now.
        """
        self._now = now
        self._task = None
        self.bounds.end_removal(task, now, is_synced=error is None)
        self._rescue.files += task.retired
        if error is None:
            self._synced(task, duration)
            error = self._write_error or task.failure
            if error is not None:
                self._recover(error)
            self._rescue.close_files(self._task)
            return True
        self._new_files = True
        self._recover(error)
        self._rescue.close_files(self._task)
        return False

    def _synced(self, task: SyncTask, duration: int) -> None:
        self.syncs.ended(duration)
        self._in_flight = []
        self.bounds.synced(task.mark, self._now)
        if self._recovering:
            self._recovering = False
            self._tell("log_goes_on", segment=self.writer.number)

    def close(self, now: int) -> None:
        """Write and sync all there is, and say in the log that nothing is missing behind it."""
        self._now = now
        self._retry_at = NEVER
        for left in reversed(range(CLOSING_ATTEMPTS)):
            self.write(now, self.recorder.wall)
            if self.failed is None and self._task is None and not self.writer.has_pending():
                self._run(self._make_task())
                if left and self.failed is None:
                    self.bounds.record(now)
        if self.failed is None and self._task is None and self.writer.has_pending():
            self._run(self._make_task())  # There is no room for the rest.
        self._rescue.close_files(self._task)
        if self.failed is None:
            self.writer.close()
        self.space.close()

    def _run(self, task: SyncTask) -> None:
        """Sync without another thread."""
        error = None
        try:
            task.run()
        except OSError as caught:
            error = caught
        self.end_sync(task, error, 0, self._now)

    # -- segments -------------------------------------------------------------------------------

    def _on_segment(self, closed_size: int) -> None:
        """Take in the segment that the writer has started, and say at its start what is known."""
        if closed_size:
            self.segments[next(reversed(self.segments))].size = closed_size
            self.compactor.closed_bytes += closed_size
        number = self.writer.number
        self.recorder.current = self.segments[number] = Segment(number)
        self._new_files = True
        self.bounds.record(self._now)

    def _on_clean(self, segment: Segment) -> None:
        self.bounds.dispose(segment, next(iter(self.segments)), self._now)

    # -- when it fails --------------------------------------------------------------------------

    def _wrote(self) -> None:
        recorder, syncs = self.recorder, self.syncs
        self.bounds.written()
        if self.is_stalled:
            self._retry_at = NEVER
            self._tell("log_goes_on", segment=self.writer.number)
        syncs.wrote(
            self._now,
            urgent=recorder.urgent > self._seen_urgent,
            lazy=recorder.lazy > self._seen_lazy,
        )
        self._seen_urgent, self._seen_lazy = recorder.urgent, recorder.lazy

    @property
    def is_stalled(self) -> bool:
        """Tell whether what was recorded cannot be written, for want of space."""
        return self._retry_at != NEVER

    def _cannot_write(self, error: OSError) -> None:
        """Make do with the reserve; or try again later; or go on elsewhere."""
        if is_full(error):
            try:
                self.writer.write_with_reserve()
            except OSError as again:
                error = again
            else:
                self._wrote()
                return
        if not is_full(error):
            if self._task is None:
                self._recover(error)
            else:
                self._write_error = error  # What is on the disk, its end will tell.
            return
        if not self.is_stalled:
            self._tell("log_stalled", reason=reason(error), hint=STALLED)
        self._retry_at = self._now + RETRY_NS

    def _recover(self, error: OSError) -> None:
        """Give a segment up: write what may not be on the disk into a new one.

        With -F nobody knows what is; see ``Rescue.move``. A file that somebody removed cannot be
        replaced so: older ones may be gone as well, and would be, one by one.
        """
        if self._recovering or isinstance(error, FileRemovedError):
            self._give_up(error)
            return
        self._recovering = True
        self._write_error = None
        self._tell(
            "log_segment_failed",
            segment=self.writer.number,
            reason=reason(error),
            hint=hint(error),
        )
        in_flight, self._in_flight = self._in_flight, []
        self._retry_at = NEVER
        try:
            self._rescue.move(in_flight, self._now)
        except OSError as again:
            self._give_up(again)
        else:
            self.syncs.restart(self._now)
            self._wrote()
            if self.syncs.interval is None:  # There may be no sync to tell that it goes on.
                self._recovering = False
                self._tell("log_goes_on", segment=self.writer.number)
        self._rescue.close_files(self._task)

    def _give_up(self, error: OSError) -> None:
        """Record nothing any more."""
        self.failed = reason(error)
        self._broker.record_with(NO_RECORDER)
        self._rescue.abandon()
        self._rescue.close_files(self._task)

    # -- what it tells --------------------------------------------------------------------------

    def statistics(self) -> dict[str, str | int]:
        """Return what ``stats`` shows of the log."""
        return statistics(self)

    def state(self) -> str:
        """Return ``ok``, ``full``, ``stalled`` or ``failed``."""
        if self.failed is not None:
            return "failed"
        if self.is_stalled:
            return "stalled"
        return "full" if self.space.full else "ok"
