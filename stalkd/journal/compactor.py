"""Keeps the log small: what is still needed of the oldest segment is written again, and it goes.

Always the oldest: so a record that ends a job is only removed after all records of that job. On the
disk are at most twice the bytes that are needed and two segments, the reserve included; the nearer
to that, the more is copied for each byte that clients cause to be written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stalkd.broker.check import BrokenInvariantError
from stalkd.journal.frames import FRAME_SIZE, HEADER_SIZE
from stalkd.journal.limits import BLOCK, COPY_STEP, IDS_STEP, MANY_SEGMENTS, SPARE_CHUNKS
from stalkd.journal.records import CHECKPOINT_SIZE
from stalkd.journal.segment import segment_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalkd.broker.broker import Broker
    from stalkd.journal.recorder import LogRecorder
    from stalkd.journal.replay import Recovered
    from stalkd.journal.segment import Segment
    from stalkd.journal.writer import Writer

COPY_FACTOR: Final = 4
"""Bytes copied for each byte written when the limit is near."""

LEAST_COPY: Final = 4 * 1024
"""Bytes worth starting for."""


SEGMENT_OVERHEAD: Final = HEADER_SIZE + 2 * (FRAME_SIZE + CHECKPOINT_SIZE)
"""Bytes that a segment takes besides the records of jobs: cleaning does not make these fewer."""


class Compactor:
    """Copies a little at a time.

    ``copied`` counts the records. ``closed_bytes`` is the size of all segments but the last.
    """

    def __init__(
        self,
        broker: Broker,
        writer: Writer,
        recorder: LogRecorder,
        segments: dict[int, Segment],
        segment_bytes: int,
        on_clean: Callable[[Segment], None],
    ) -> None:
        """Look after ``segments``, oldest first; the last is the one being written.

        ``on_clean`` is called with each one that nothing needs any more.
        """
        self._broker = broker
        self._writer = writer
        self._recorder = recorder
        self._segments = segments
        self.segment_bytes = segment_bytes
        self._on_clean = on_clean
        self._cursor = 0
        self._oldest = 0
        self._owed = 0.0
        self._small: set[int] = set()
        self.copied = 0
        self.closed_bytes = sum(segment.size for segment in segments.values())

    def used(self) -> int:
        """Return the bytes of all segments, with the space that the last one has ahead."""
        return self.closed_bytes + self._writer.file.allocated

    def pressure(self) -> float:
        """Return 0 or less if there is no need to copy, 1 or more when the limit is reached."""
        live, size = self._writer.live, self.segment_bytes
        space = self._writer.space
        limit = 2 * live + 2 * size - max(space.reserved, space.wanted(live))
        band = max(size, live) / 2
        used = self.used()
        pressure = (used - limit + band) / band
        if space.full and self._spare_room() <= 0:
            return 0  # It could not be finished, and what is held back would be gone.
        if len(self._segments) > MANY_SEGMENTS + 2 * used // size:
            return max(pressure, 1)
        return max(pressure, 1) if space.full and self._has_garbage() else pressure

    def gains(self) -> bool:
        """Tell whether cleaning yields space on a full disk, and can be finished."""
        return self._has_garbage() and self._spare_room() > 0

    def is_stuck(self) -> bool:
        """Tell whether there is no room for cleaning on a full disk, until somebody makes some."""
        return self._writer.space.full and self._has_garbage() and self._spare_room() <= 0

    def is_cramped(self, *, removing: bool) -> bool:
        """Tell whether, on a full disk, clients must wait lest there be no room for cleaning.

        ``removing`` tells whether some room comes free in a moment.
        """
        if not self._writer.space.full or not self._has_garbage():
            return False
        spare = self._spare_room()
        return spare < SPARE_CHUNKS * self._writer.space.chunk and (spare > 0 or removing)

    def _has_garbage(self) -> bool:
        """Tell whether there is enough to be worth cleaning.

        Once every segment has been cleaned there is not: then nobody need wait any longer.
        """
        needed = self._writer.live + len(self._segments) * SEGMENT_OVERHEAD
        used = self.closed_bytes + self._writer.position + len(self._small) * BLOCK
        return used - needed > self._writer.space.chunk

    def _spare_room(self) -> int:
        """Return how many bytes can be written and still leave room to clean the oldest."""
        writer = self._writer
        room = writer.space.reserved + writer.file.allocated - writer.position
        oldest = next(iter(self._segments.values()))
        return room - oldest.live - writer.space.chunk

    def work(self, written: int) -> bool:
        """Do what is due after so many bytes were written; tell whether there is more to do now."""
        pressure = self.pressure()
        if pressure <= 0:
            return False
        if pressure >= 1:
            self._step(COPY_STEP)
            return self.pressure() >= 1
        self._owed += written * pressure * COPY_FACTOR
        if self._owed >= LEAST_COPY:
            self._step(min(int(self._owed), COPY_STEP))
            self._owed = 0
        return False

    def _step(self, budget: int) -> None:
        segment = next(iter(self._segments.values()))
        if segment.number == self._writer.number:
            self._writer.rotate()
        if segment.number != self._oldest:
            self._oldest, self._cursor = segment.number, 0
        if segment.live:
            self._copy(segment, budget)
        if not segment.live:
            self._finish(segment)

    def _copy(self, segment: Segment, budget: int) -> None:
        """Write again what is still needed, until the budget is used up."""
        entries = len(segment.ids) + len(segment.tubes)
        end = min(entries, self._cursor + IDS_STEP)
        while self._cursor < end and budget > 0:
            budget -= self._copy_entry(segment, self._cursor)
            self._cursor += 1
        if segment.live and self._cursor == entries:
            raise BrokenInvariantError(f"{segment} holds nothing, but has live bytes")

    def _copy_entry(self, segment: Segment, index: int) -> int:
        """Write again what an entry is about, if its record is still here; return its size."""
        number, jobs = segment.number, len(segment.ids)
        if index < jobs:
            job = self._broker.jobs.get(segment.ids[index])
            size = self._recorder.copy(job) if job is not None and job.file == number else 0
        else:
            size = self._copy_tube(segment.tubes[index - jobs], number)
        self.copied += bool(size)
        return size

    def _copy_tube(self, name: str, number: int) -> int:
        tube, size = self._broker.directory.tubes.get(name), 0
        if tube is not None and tube.file == number:
            size += self._recorder.copy_pause(tube)
        if tube is not None and tube.policy_file == number:
            size += self._recorder.copy_policy(tube)
        return size

    def take_over(self, recovered: Recovered) -> None:
        """Hold back all the space that the last run has left.

        That are segments which nothing needs, since they were left for their space, or there was
        no time to remove them; and what the last one has behind its end. Segments of a few bytes,
        as each start may leave one, take a block all the same.
        """
        space = self._writer.space
        for number, segment in list(self._segments.items()):
            if number < recovered.first and not segment.live:
                del self._segments[number]
                self.closed_bytes -= segment.size
                space.hold(segment_name(number))
        number, end = recovered.end
        if recovered.spare and not recovered.notes:
            space.cut(segment_name(number), end)
            self._segments[number].size = end
            self.closed_bytes -= recovered.spare
        self._small = {each.number for each in self._segments.values() if each.size < BLOCK}

    def _finish(self, segment: Segment) -> None:
        del self._segments[segment.number]
        self._small.discard(segment.number)
        self.closed_bytes -= segment.size
        self._on_clean(segment)
