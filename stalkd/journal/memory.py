"""What the records of a log add up to: the jobs and pauses there are at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from stalkd.broker import policies
from stalkd.broker.job import DELAYED, READY, Job
from stalkd.broker.policy import NO_POLICY, Policy
from stalkd.journal.recorder import job_size, pause_size, policy_size
from stalkd.journal.records import (
    Change,
    Checkpoint,
    Delete,
    JobRecord,
    Moved,
    Pause,
    PolicyRecord,
    Record,
    Reserve,
    Termed,
)

if TYPE_CHECKING:
    from stalkd.broker.broker import Broker
    from stalkd.journal.frames import Position
    from stalkd.journal.segment import Segment

BATCH: Final = 5_000
"""Jobs or records between two reports of progress: about 20 ms."""

INTERNED: Final = 10_000
"""Distinct priorities and times-to-run that jobs share; more are not worth looking for."""


class Memory:
    """Takes in records in their order, then fills a broker.

    ``first`` is the first segment that is needed, ``synced`` up to where the log was on the disk
    for certain. ``wall`` is the wall clock's lead over the broker's clock, in nanoseconds.
    """

    def __init__(self, broker: Broker, wall: int) -> None:
        """Know nothing yet; ``broker`` must have no jobs."""
        self._broker = broker
        self._wall = wall
        self.jobs: dict[int, Job] = {}
        self._orders: dict[int, int] = {}
        self._pauses: dict[str, tuple[Pause, Segment]] = {}
        self._policies: dict[str, tuple[Policy, Segment]] = {}
        self._integers: dict[int, int] = {}
        self.first = 1
        self.synced: Position = (0, 0)
        self._last_id = 0
        self._segment: Segment
        self._apply: dict[type, Callable[[Record], None]] = {
            Checkpoint: self._checkpoint,
            JobRecord: self._job,
            Change: self._change,
            Reserve: self._reserve,
            Delete: self._delete,
            Pause: self._pause,
            Termed: self._termed,
            Moved: self._moved,
            PolicyRecord: self._policy,
        }

    def enter(self, segment: Segment) -> None:
        """Take the next records for those of this segment."""
        self._segment = segment

    def apply(self, record: Record) -> None:
        """Take in a record."""
        self._apply[type(record)](record)

    def _checkpoint(self, record: Record) -> None:
        assert isinstance(record, Checkpoint)  # noqa: S101 - for the type checker
        self.first = max(self.first, record.first)
        self.note_certain(record)

    def note_certain(self, record: Record) -> None:
        """Take in what a checkpoint says that is true even if records before it are missing."""
        assert isinstance(record, Checkpoint)  # noqa: S101 - for the type checker
        self.synced = max(self.synced, (record.synced_segment, record.synced_offset))
        self._last_id = max(self._last_id, record.last_id)

    def _job(self, record: Record) -> None:
        assert isinstance(record, JobRecord)  # noqa: S101 - for the type checker
        job = Job(
            record.id,
            self._broker.directory.tube(record.tube),
            self._shared(record.pri),
            record.delay,
            self._shared(record.ttr),
            record.body,
            record.created - self._wall,
        )
        job.file = self._segment.number
        self._segment.ids.append(record.id)
        self.jobs[record.id] = job
        self._last_id = max(self._last_id, record.id)
        self._place(job, record)

    def _shared(self, number: int) -> int:
        """Return an equal integer that other jobs have, too: a million jobs say the same few."""
        if len(self._integers) > INTERNED:
            self._integers.clear()
        return self._integers.setdefault(number, number)

    def _change(self, record: Record) -> None:
        assert isinstance(record, Change)  # noqa: S101 - for the type checker
        job = self.jobs.get(record.id)
        if job is not None:
            job.pri = self._shared(record.pri)
            job.delay = record.delay
            self._place(job, record)

    def _place(self, job: Job, record: JobRecord | Change) -> None:
        job.state = record.state
        if record.state is not READY:
            self._orders[job.id] = record.order
        job.reserves = record.reserves
        if record.timeouts or record.releases or record.buries or record.kicks:
            past = job.marked()
            past.timeouts = record.timeouts
            past.releases = record.releases
            past.buries = record.buries
            past.kicks = record.kicks

    def _termed(self, record: Record) -> None:
        assert isinstance(record, Termed)  # noqa: S101 - for the type checker
        self._job(record.job)
        self.jobs[record.job.id].terms = record.terms.terms(self._wall)

    def _moved(self, record: Record) -> None:
        assert isinstance(record, Moved)  # noqa: S101 - for the type checker
        job = self.jobs.get(record.job.id)
        if job is not None:
            job.tube = self._broker.directory.tube(record.job.tube)
            job.terms = record.terms.terms(self._wall)
            job.pri = self._shared(record.job.pri)
            job.delay = record.job.delay
            self._place(job, record.job)

    def _policy(self, record: Record) -> None:
        assert isinstance(record, PolicyRecord)  # noqa: S101 - for the type checker
        self._policies[record.tube] = (record.policy, self._segment)
        self._segment.tubes.append(record.tube)

    def _reserve(self, record: Record) -> None:
        assert isinstance(record, Reserve)  # noqa: S101 - for the type checker
        job = self.jobs.get(record.id)
        if job is not None:
            job.reserves = record.reserves
            job.state = READY

    def _delete(self, record: Record) -> None:
        assert isinstance(record, Delete)  # noqa: S101 - for the type checker
        self.jobs.pop(record.id, None)

    def _pause(self, record: Record) -> None:
        assert isinstance(record, Pause)  # noqa: S101 - for the type checker
        self._pauses[record.tube] = (record, self._segment)
        self._segment.tubes.append(record.tube)

    # -- into the broker ------------------------------------------------------------------------

    def _restore_policies(self) -> None:
        """Give tubes their policies, before jobs come which they are about."""
        for name, (policy, segment) in self._policies.items():
            if policy != NO_POLICY:
                tube = policies.restore(self._broker, name, policy)
                tube.policy_file = segment.number
                segment.live += policy_size(tube)

    def restore(self, segments: dict[int, Segment], now: int) -> Iterator[None]:
        """Fill the broker, a batch at a time, and count what of ``segments`` is needed."""
        broker = self._broker
        broker.last_id = self._last_id
        self._restore_policies()
        for count, job in enumerate(self.jobs.values(), 1):
            if job.terms is not None and job.terms.key in job.tube.keys:
                job.terms.key = ""  # The end of the other one is in a part that was damaged.
            segments[job.file].live += job_size(job)
            order = 0 if job.state is READY else self._orders[job.id]
            broker.restore(job, order - self._wall if job.state is DELAYED else order, now)
            if not count % BATCH:
                yield
        for pause, segment in self._pauses.values():
            until = pause.until - self._wall
            if until > now:
                tube = broker.restore_pause(pause.tube, pause.seconds, until)
                tube.file = segment.number
                segment.live += pause_size(tube)
        for tube in list(broker.directory.tubes.values()):
            if not tube.paused_until:
                broker.directory.drop_if_unused(tube)
