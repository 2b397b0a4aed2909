"""Copying what is intact in a damaged log into a new one."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from stalkd.journal.errors import JournalError
from stalkd.journal.frames import (
    FRAME_SIZE,
    HEADER_SIZE,
    Header,
    HeaderError,
    find_frames,
    is_blank,
    tag_of,
    unpack_header,
)
from stalkd.journal.log import Log
from stalkd.journal.memory import Memory
from stalkd.journal.options import LogOptions
from stalkd.journal.records import MalformedError, unpack
from stalkd.journal.replay import Recovered
from stalkd.journal.segment import Segment, segment_name, segment_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalkd.broker.broker import Broker
    from stalkd.journal.files import Directory

WRITE_EVERY: Final = 1_000
"""Jobs written to the new log at once."""


class Salvage:
    """Reads all intact records there are. ``lost`` says, in words, what could not be read."""

    def __init__(self, directory: Directory, broker: Broker, now: int, wall: int) -> None:
        """Be ready to read; times as for a replay."""
        self._directory = directory
        self._broker = broker
        self._now = now
        self._wall = wall
        self._memory = Memory(broker, wall)
        self._segments: dict[int, Segment] = {}
        self.records = 0
        self.lost: list[str] = []

    def read(self) -> None:
        """Fill the broker. Raises JournalError when nothing can be read, OSError."""
        numbers = sorted(filter(None, map(segment_number, self._directory.names())))
        headers = dict(self._headers(numbers))
        if not headers:
            why = f": {self.lost[0]}" if self.lost else ""
            raise JournalError(
                f"{self._directory.path} holds no segment with a readable header{why}"
            )
        newest_first = sorted(headers, reverse=True)
        log_id = Counter(headers[each].log_id for each in newest_first).most_common(1)[0][0]
        foreign = {n: why for n, h in headers.items() if (why := _not_here(n, h, log_id))}
        own = {n: h for n, h in headers.items() if n not in foreign}
        limits = _limits(own)
        for number in numbers:
            if number in foreign:
                self._lose(number, foreign[number])
            elif limits.get(number) != 0:
                self._read_segment(number, log_id, limits.get(number))
        for number in range(max(self._memory.first, 1), max(own, default=0)):
            if number not in numbers and limits.get(number) != 0:
                self._lose(number, "is missing")
        for _ in self._memory.restore(self._segments, self._now):
            pass

    def _headers(self, numbers: list[int]) -> Iterator[tuple[int, Header]]:
        for number in numbers:
            try:
                data = self._directory.read_start(segment_name(number), HEADER_SIZE)
                yield number, unpack_header(data)
            except HeaderError as error:
                self._lose(number, str(error))
            except PermissionError:
                raise  # It is not lost: somebody else can read it.
            except OSError as error:
                self._lose(number, f"its header cannot be read: {error.strerror}")

    def _lose(self, number: int, what: str) -> None:
        self.lost.append(f"{segment_name(number)}: {what}")

    def _read_segment(self, number: int, log_id: int, limit: int | None) -> None:
        try:
            data = self._directory.read(segment_name(number))
        except PermissionError:
            raise
        except OSError as error:
            self._lose(number, f"cannot be read: {error.strerror}")
            return
        segment = self._segments[number] = Segment(number, len(data))
        self._memory.enter(segment)
        expected = end = len(data) if limit is None else min(limit, len(data))
        if limit is not None and limit > len(data):
            self._lose(number, f"ends at {len(data)}, {limit - len(data)} bytes early")
        position = HEADER_SIZE
        for start, record in find_frames(data, tag_of(log_id, number), HEADER_SIZE, expected):
            self._note_gap(number, data, position, start)
            position = start + FRAME_SIZE + len(record)
            self._apply(number, start, record)
        self._note_gap(number, data, position, end)

    def _note_gap(self, number: int, data: bytes, start: int, end: int) -> None:
        if start < end and not is_blank(data, start, end):
            self._lose(number, f"damaged from {start} to {end}, {end - start} bytes")

    def _apply(self, number: int, offset: int, record: bytes) -> None:
        try:
            self._memory.apply(unpack(record))
        except MalformedError as error:
            self._lose(number, f"{error} at {offset}")
        else:
            self.records += 1

    def write(self, target: Directory, options: LogOptions) -> None:
        """Write all jobs, pauses and policies to a new log. Raises JournalError, OSError."""
        broker = self._broker
        log = Log(target, broker, Recovered.fresh(), options, self._now, self._wall, _complain)
        for tube in broker.directory.tubes.values():
            tube.file = tube.policy_file = 0
            if tube.paused_until:
                log.recorder.paused(tube)
            if tube.policy is not None:
                log.recorder.decided(tube)
        for count, job in enumerate(broker.jobs.values(), 1):
            log.recorder.put(job)
            if not count % WRITE_EVERY:
                log.write(self._now, self._wall)
        log.close(self._now)


def _not_here(number: int, header: Header, log_id: int) -> str:
    """Say why a segment does not belong where it is; nothing if it does."""
    if header.log_id != log_id:
        return "belongs to another log"
    if header.number != number:
        return (
            f"is segment {header.number} under a wrong name; rename it back to"
            f" {segment_name(header.number)}, and salvage again"
        )
    return ""


def _limits(headers: dict[int, Header]) -> dict[int, int]:
    """Return up to where segments count that others go on from; 0 for those that do not at all."""
    limits: dict[int, int] = {}
    for number in sorted(headers, reverse=True):
        if limits.get(number) == 0:
            continue
        previous, offset = headers[number].previous
        limits[previous] = offset
        limits.update(dict.fromkeys(range(previous + 1, number), 0))
    return limits


def _complain(name: str, **fields: object) -> None:
    """Fail when the new log cannot be written as it should: then it is no copy."""
    raise JournalError(f"the new log cannot be written: {name} {fields}")
