"""Reading a log back: what it says is applied to a new broker, and what is wrong with it judged.

After a power cut the end of a log may be torn: of what was written and not yet synced, any part may
be missing, in any place. The log then ends before the first such place, and that is reported. But
what a checkpoint says was synced must be there: if it is not, the log is damaged, and nothing is
started on it. This distinction is why checkpoints are written.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stalkd.journal.errors import DamagedError, JournalError
from stalkd.journal.frames import (
    FRAME_SIZE,
    HEADER_SIZE,
    START,
    Position,
    find_frames,
    is_blank,
    read_frames,
)
from stalkd.journal.memory import BATCH, Memory
from stalkd.journal.records import CHECKPOINT, CHECKPOINT_SIZE, Checkpoint, MalformedError, unpack
from stalkd.journal.segment import Segment, segment_name
from stalkd.journal.survey import Link, Source, Survey, survey

if TYPE_CHECKING:
    from stalkd.broker.broker import Broker
    from stalkd.journal.files import Directory

DAMAGED: Final = ": damaged"
"""What is said of a place that is not as it was written; a torn end is no damage."""

LOG_ID_BYTES: Final = 8


@dataclass(slots=True)
class Recovered:
    """What a log held. ``end`` is where it stops, ``notes`` are what the operator should know.

    ``obsolete`` are the numbers of segments that are not part of it, ``unused`` of those that have
    just turned out not to be, ``unsynced`` of those that may not be on the disk yet. ``spare`` are
    the bytes that the last file has behind its end, which were never used.
    """

    log_id: int
    first: int = 1
    end: Position = START
    next_number: int = 1
    segments: dict[int, Segment] = field(default_factory=dict)
    obsolete: list[int] = field(default_factory=list)
    unused: list[int] = field(default_factory=list)
    unsynced: list[int] = field(default_factory=list)
    records: int = 0
    bytes: int = 0
    spare: int = 0
    notes: list[str] = field(default_factory=list)

    @classmethod
    def fresh(cls) -> Recovered:
        """Return what there is where no log was: a new log's id."""
        return cls(int.from_bytes(os.urandom(LOG_ID_BYTES), "little"))


class Replay:
    """Puts the jobs of a log into a broker.

    ``wall`` is the wall clock's lead over the broker's clock ``now``, in nanoseconds.
    """

    def __init__(self, directory: Directory, broker: Broker, now: int, wall: int) -> None:
        """Be ready to read ``directory`` into a broker that has no jobs."""
        self._directory, self._broker = directory, broker
        self._now, self._wall = now, wall
        self._memory = Memory(broker, wall)
        self._number = 0
        self.total_bytes = 0
        self.recovered = Recovered.fresh()

    @property
    def jobs(self) -> int:
        """Return how many jobs there are at the end of what has been read."""
        return len(self._memory.jobs)

    def run(self) -> Iterator[None]:
        """Read everything, a batch at a time. Raises JournalError, OSError.

        After the last batch, the broker has its jobs, and ``recovered`` tells about the log.
        """
        found = survey(self._directory)
        recovered = self.recovered
        recovered.next_number = max(found.sources, default=0) + 1
        if found.log_id is None:
            recovered.obsolete = list(found.sources)
            return
        recovered.log_id = found.log_id
        self.total_bytes = sum(source.size for source in found.sources.values())
        yield from self._read_log(found)
        synced_segment, _ = self._memory.synced
        recovered.unsynced = [number for number in recovered.segments if number >= synced_segment]
        recovered.first = self._memory.first
        yield from self._memory.restore(recovered.segments, self._now)

    # -- the files ------------------------------------------------------------------------------

    def _read_log(self, found: Survey) -> Iterator[None]:
        """Apply what is the log, and judge what is not.

        If a chain has no beginning, that got lost in a power cut, and the log ends before it: then
        it is all of an older chain. Unless a checkpoint knows better.
        """
        recovered, problem, is_intact = self.recovered, "", False
        for links in found.chains():
            is_intact = yield from self._read_links(links, found)
            lowest, before = links[0].source.number, links[0].previous
            if before == START or lowest <= self._memory.first:
                break
            problem = problem or self._why_not(before[0], is_intact=is_intact)
            self._memory = Memory(self._broker, self._wall)
            recovered.segments.clear()
            recovered.end, is_intact = START, False
        last = recovered.end[0]
        recovered.unused = [number for number in found.sources if number > last]
        older = (number for number in found.sources if number < last)
        recovered.obsolete = [number for number in older if number not in recovered.segments]
        if not is_intact or recovered.unused:
            self._judge(found, problem)

    def _why_not(self, before: int, *, is_intact: bool) -> str:
        """Say why a chain is not the log: something is wrong with it, or before it."""
        if is_intact:
            return f"{self._path(before)} is missing or unreadable"
        number, offset = self.recovered.end
        return f"{self._path(number)} offset {offset}{DAMAGED}"

    def _read_links(self, links: list[Link], found: Survey) -> Generator[None, None, bool]:
        """Apply the links, as far as they are intact; tell whether they all are."""
        for link in links:
            source = link.source
            self._number = source.number
            segment = self.recovered.segments[source.number] = Segment(source.number, source.size)
            self._memory.enter(segment)
            data = self._directory.read(segment_name(source.number))
            limit = len(data) if link.limit is None else min(link.limit, len(data))
            end = yield from self._read(data, found.tag(source.number), limit)
            self.recovered.end = (source.number, end)
            self.recovered.bytes += end
            if link.limit is None and is_blank(data, end, len(data)):
                self.recovered.spare = len(data) - end
            elif end != link.limit:
                return False
        return True

    def _read(self, data: bytes, tag: int, limit: int) -> Generator[None, None, int]:
        """Apply the frames of a segment; return where they end."""
        end = HEADER_SIZE
        apply = self._memory.apply
        left = BATCH
        for end, payload in read_frames(data, tag, HEADER_SIZE, limit):
            try:
                record = unpack(payload)
            except MalformedError as error:
                start = end - len(payload) - FRAME_SIZE
                raise JournalError(
                    f"{self._path(self._number)} offset {start}: {error}; it was written by a newer"
                    " stalkd: use that version"
                ) from error
            apply(record)
            left -= 1
            if not left:
                left = BATCH
                self.recovered.records += BATCH
                yield
        self.recovered.records += BATCH - left
        return end

    def _path(self, number: int) -> str:
        return str(self._directory.path / segment_name(number))

    # -- what is wrong --------------------------------------------------------------------------

    def _judge(self, found: Survey, problem: str) -> None:
        """Accept that the log ends where it does. Raises DamagedError if there was more for sure.

        Of what lies behind, nothing counts but what checkpoints say was synced.
        """
        where = self.recovered.end
        intact, synced = 0, self._memory.synced
        for number in [*filter(None, where[:1]), *self.recovered.unused]:
            content = self._directory.read(segment_name(number))
            start = where[1] if number == where[0] else HEADER_SIZE
            for _, payload in find_frames(content, found.tag(number), start, len(content)):
                is_checkpoint = payload[0] == CHECKPOINT and len(payload) == CHECKPOINT_SIZE
                record = unpack(payload) if is_checkpoint else None
                if isinstance(record, Checkpoint):
                    synced = max(synced, (record.synced_segment, record.synced_offset))
                else:
                    intact += 1
        end = problem or f"{self._path(where[0] or 1)} offset {where[1]}{DAMAGED}"
        begun = [found.sources[number] for number in self.recovered.unused]
        unreadable = [source for source in begun if source.header is None][:1]
        if synced > where:
            raise DamagedError(
                f"{self._faults(end, unreadable)}, though it was certainly written;"
                f" {intact} intact records follow; restore the directory from a backup, or copy"
                f" what is intact with: stalkd --salvage {self._directory.path} --into NEW"
            )
        note = f"{end.removesuffix(DAMAGED)}: the log was torn here and ends before"
        for source in unreadable:
            note += f"; {self._path(source.number)} offset {source.problem_at}: torn, too"
        if intact:
            note += f"; {intact} intact records behind it were never synced and do not count"
        self.recovered.notes.append(note)

    def _faults(self, end: str, unreadable: list[Source]) -> str:
        """Say where a damaged log ends, and what is wrong with what should follow."""
        more = (
            f"{self._path(each.number)} offset {each.problem_at}: {each.problem}"
            for each in unreadable
        )
        return "; ".join([end, *more])
