"""Turns what the broker tells into records, and keeps count of what the log still needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalkd.broker.recorder import Recorder
from stalkd.journal.frames import FRAME_SIZE
from stalkd.journal.records import (
    JOB_FIXED,
    PAUSE_FIXED,
    POLICY_FIXED,
    pack_change,
    pack_delete,
    pack_job,
    pack_moved,
    pack_pause,
    pack_policy,
    pack_reserve,
)
from stalkd.journal.terms import terms_size

if TYPE_CHECKING:
    from stalkd.broker.job import Job
    from stalkd.broker.tube import Tube
    from stalkd.journal.segment import Segment
    from stalkd.journal.writer import Writer


def job_size(job: Job) -> int:
    """Return the bytes that the whole record of a job takes in the log."""
    size = FRAME_SIZE + JOB_FIXED + len(job.tube.name) + len(job.body)
    return size if job.terms is None else size + terms_size(job)


def policy_size(tube: Tube) -> int:
    """Return the bytes that the record of a tube's policy takes in the log."""
    dead = len(tube.policy.dead) if tube.policy is not None else 0
    return FRAME_SIZE + POLICY_FIXED + len(tube.name) + dead


def pause_size(tube: Tube) -> int:
    """Return the bytes that the record of a tube's pause takes in the log."""
    return FRAME_SIZE + PAUSE_FIXED + len(tube.name)


class LogRecorder(Recorder):
    """Writes a record for each change.

    ``urgent`` is the count of records at the last one that a reply depends on, ``lazy`` at the last
    that none does. ``wall`` is the wall clock's lead over the broker's clock, in nanoseconds.
    """

    __slots__ = ("current", "lazy", "segments", "urgent", "wall", "writer")

    def __init__(self, writer: Writer, segments: dict[int, Segment], wall: int) -> None:
        """Count in ``segments``; ``current`` must be set whenever the writer starts a segment."""
        self.writer = writer
        self.segments = segments
        self.wall = wall
        self.current: Segment
        self.urgent = 0
        self.lazy = 0

    def put(self, job: Job) -> None:
        """Write a whole record."""
        writer = self.writer
        record = pack_job(job, self.wall)
        writer.append(record)
        segment = self.current
        segment.ids.append(job.id)
        size = FRAME_SIZE + len(record)
        segment.live += size
        writer.live += size
        job.file = segment.number
        self.urgent = writer.records

    def reserved(self, job: Job) -> None:
        """Write the count of reserves."""
        self.writer.append(pack_reserve(job))
        self.lazy = self.writer.records

    def changed(self, job: Job) -> None:
        """Write what may have changed."""
        self.writer.append(pack_change(job, self.wall))
        self.urgent = self.writer.records

    def expired(self, job: Job) -> None:
        """Write what may have changed; no reply depends on it."""
        self.writer.append(pack_change(job, self.wall))
        self.lazy = self.writer.records

    def deleted(self, job: Job) -> None:
        """Write that the job is gone; its record is not needed any more."""
        self.writer.append(pack_delete(job.id))
        size = job_size(job)
        self.segments[job.file].live -= size
        self.writer.live -= size
        self.urgent = self.writer.records

    def changing(self, job: Job) -> None:
        """Count out the record of a job, which will have another size when it is next copied."""
        self._count(job, -job_size(job))

    def moved(self, job: Job) -> None:
        """Write the new terms, but not the body, and count the job's record in again."""
        self.writer.append(pack_moved(job, self.wall))
        self._count(job, job_size(job))
        self.urgent = self.writer.records

    def _count(self, job: Job, size: int) -> None:
        self.segments[job.file].live += size
        self.writer.live += size

    def deciding(self, tube: Tube) -> None:
        """Note that the record of a tube's policy is not needed any more."""
        if tube.policy_file:
            size = policy_size(tube)
            self.segments[tube.policy_file].live -= size
            self.writer.live -= size
            tube.policy_file = 0

    def decided(self, tube: Tube) -> None:
        """Write what the policy is."""
        self.writer.append(pack_policy(tube))
        self.urgent = self.writer.records
        if tube.policy is not None:
            self.keep_policy(tube)

    def paused(self, tube: Tube) -> None:
        """Write when the pause ends, or that it has ended."""
        self.forget_pause(tube)
        self.writer.append(pack_pause(tube, self.wall))
        self.urgent = self.writer.records
        if tube.paused_until:
            self.keep_pause(tube)

    # -- what is needed, and where --------------------------------------------------------------

    def copy(self, job: Job) -> int:
        """Write the whole record of a job once more, instead of the older one; return its size."""
        self.writer.append(pack_job(job, self.wall))
        self.lazy = self.writer.records
        return self.move(job)

    def copy_pause(self, tube: Tube) -> int:
        """Write the record of a pause once more, instead of the older one; return its size."""
        self.forget_pause(tube)
        self.writer.append(pack_pause(tube, self.wall))
        self.lazy = self.writer.records
        self.keep_pause(tube)
        return pause_size(tube)

    def copy_policy(self, tube: Tube) -> int:
        """Write the record of a policy once more, instead of the older one; return its size."""
        self.deciding(tube)
        self.writer.append(pack_policy(tube))
        self.lazy = self.writer.records
        self.keep_policy(tube)
        return policy_size(tube)

    def keep_policy(self, tube: Tube) -> None:
        """Note that the last record written is the one of a tube's policy."""
        size = policy_size(tube)
        self.current.live += size
        self.writer.live += size
        self.current.tubes.append(tube.name)
        tube.policy_file = self.current.number

    def move(self, job: Job) -> int:
        """Note that the last record written is now the one of a job; return its size."""
        size = job_size(job)
        old = self.segments.get(job.file)
        if old is not None:
            old.live -= size
        self.current.live += size
        self.current.ids.append(job.id)
        job.file = self.current.number
        return size

    def keep_pause(self, tube: Tube) -> None:
        """Note that the last record written is the one of a tube's pause."""
        size = pause_size(tube)
        self.current.live += size
        self.writer.live += size
        self.current.tubes.append(tube.name)
        tube.file = self.current.number

    def forget_pause(self, tube: Tube) -> None:
        """Note that the record of a tube's pause is not needed any more."""
        if tube.file:
            size = pause_size(tube)
            self.segments[tube.file].live -= size
            self.writer.live -= size
            tube.file = 0
