"""Writing again what was in a segment that failed, and is not certain to be on the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalkd.journal.records import (
    CHECKPOINT,
    JOB,
    PAUSE,
    POLICY,
    TERMED,
    Pause,
    PolicyRecord,
    pack_job,
    unpack,
)

if TYPE_CHECKING:
    from stalkd.broker.broker import Broker
    from stalkd.journal.bounds import Bounds
    from stalkd.journal.compactor import Compactor
    from stalkd.journal.files import File
    from stalkd.journal.frames import Position
    from stalkd.journal.recorder import LogRecorder
    from stalkd.journal.syncs import SyncTask
    from stalkd.journal.writer import Writer


class Rescue:
    """Finds those records, and appends them to a new segment.

    ``files`` are those that were given up, and are to be closed.
    """

    def __init__(
        self,
        broker: Broker,
        writer: Writer,
        recorder: LogRecorder,
        compactor: Compactor,
        bounds: Bounds,
    ) -> None:
        """Work for these."""
        self._broker = broker
        self._writer = writer
        self._recorder = recorder
        self._compactor = compactor
        self._bounds = bounds
        self.files: list[File] = []

    def move(self, in_flight: list[list[bytes]], now: int) -> None:
        """Go on in a new segment, which has all that is not certain. Raises OSError.

        ``in_flight`` are the records that the failed sync was to cover.

        With -F nobody knows what is on the disk. The new segment goes on behind all that was
        written, be it there or not, and has the jobs that were put since the last mark once more.
        If it is not there, the next start finds damage, and may refuse the log.
        """
        writer, bounds = self._writer, self._bounds
        end = bounds.mark if writer.keeps else (writer.number, writer.written)
        failed, closed_size = writer.number, max(writer.position, writer.file.allocated)
        records = self.uncertain(in_flight, bounds.mark)
        self._take_files()
        writer.start(writer.next_number, end, closed_size)
        for record in records:
            self.append(record)
        self._leave_out(end[0], failed, now)
        writer.write()
        self._recorder.urgent = writer.records

    def _leave_out(self, last: int, failed: int, now: int) -> None:
        """Forget the segments behind ``last`` up to ``failed``: the log does not pass there."""
        segments = self._recorder.segments
        void = [number for number in segments if last < number <= failed]
        for number in void:
            self._compactor.closed_bytes -= segments.pop(number).size
        self._bounds.leave_out(void, next(iter(segments)), now)

    def abandon(self) -> None:
        """Forget what was not written: there is no log any more."""
        self._writer.take_pending()
        self._writer.take_kept()
        self._take_files()

    def _take_files(self) -> None:
        writer = self._writer
        left = [*writer.retired, writer.file]
        self.files += [file for file in left if file not in self.files]
        writer.retired = []

    def close_files(self, task: SyncTask | None) -> None:
        """Close the files that were given up, once no task uses them."""
        if task is None:
            for file in self.files:
                file.close()
            self.files = []

    def uncertain(self, in_flight: list[list[bytes]], mark: Position) -> list[bytes]:
        """Return the records that were appended after the last good sync, which was at ``mark``.

        ``in_flight`` are those that the failed sync was to cover.
        """
        writer = self._writer
        batches = [*in_flight, *writer.take_kept(), writer.take_pending()]
        records = [record for batch in batches for record in batch[1::2]]
        again = [record for record in records if record[0] != CHECKPOINT]
        return again if writer.keeps else [*again, *self._unkept(mark)]

    def _unkept(self, mark: Position) -> list[bytes]:
        """With -F nothing is kept: return what the segments since then held of living jobs."""
        segments = self._recorder.segments.values()
        ids = {each for segment in segments if segment.number >= mark[0] for each in segment.ids}
        jobs = map(self._broker.jobs.get, sorted(ids))
        return [pack_job(job, self._recorder.wall) for job in jobs if job is not None]

    def append(self, record: bytes) -> None:
        """Write a record; if it is the one that a job or a pause lives by, that is here now."""
        self._writer.append(record)
        if record[0] in {JOB, TERMED}:
            job = self._broker.jobs.get(int.from_bytes(record[1:9], "little"))
            if job is not None:
                self._recorder.move(job)
        elif record[0] in {PAUSE, POLICY}:
            self._move_tube(unpack(record))

    def _move_tube(self, about: object) -> None:
        recorder, find = self._recorder, self._broker.directory.tubes.get
        if isinstance(about, Pause) and (tube := find(about.tube)) is not None and tube.file:
            recorder.forget_pause(tube)
            recorder.keep_pause(tube)
        if isinstance(about, PolicyRecord):
            tube = find(about.tube)
            if tube is not None and tube.policy_file:
                recorder.deciding(tube)
                recorder.keep_policy(tube)
