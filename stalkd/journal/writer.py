"""The end of the log: frames records, collects them, and writes them all with one call.

A command appends its records while it runs, and there it cannot fail; errors come up in ``write``,
which is called once for all commands that ran together.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final
from zlib import crc32

from stalkd.journal.files import is_full
from stalkd.journal.frames import (
    FRAME_SIZE,
    HEADER_SIZE,
    MASK,
    Header,
    Position,
    pack_frame,
    pack_header,
    tag_of,
)
from stalkd.journal.limits import BLOCK, MOST_RETIRED
from stalkd.journal.records import CHECKPOINT_SIZE, JOB_FIXED
from stalkd.journal.segment import segment_name
from stalkd.journal.terms import TERMS_FIXED

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalkd.journal.files import Directory, File
    from stalkd.journal.space import Space

JOB_OVERHEAD: Final = FRAME_SIZE + JOB_FIXED + TERMS_FIXED + 200
"""Bytes that a job takes in the log besides its body and the words of its terms, at most: with the
longest name of a tube."""

_FRESH: Final = HEADER_SIZE + FRAME_SIZE + CHECKPOINT_SIZE
"""Position in a segment that holds nothing but its first checkpoint."""


class Writer:
    """Appends to one segment after the other.

    ``position`` is where the next record goes, ``written`` up to where it has been written;
    ``records`` and ``total`` count all records appended and all bytes written.
    ``kept`` are the lists of frames and records that were written since ``take_kept``: they may
    have to be written again elsewhere. ``retired`` are the files of earlier segments that are not
    synced yet. ``on_segment`` is called when a segment has been started, with the size of the
    one before, 0 if there is none. ``live`` is how many bytes
    of the log are needed; the recorder keeps it.
    """

    def __init__(
        self, directory: Directory, space: Space, log_id: int, segment_bytes: int, *, keeps: bool
    ) -> None:
        """Have no segment yet; ``keeps`` tells whether what is written is to be kept."""
        self._directory = directory
        self.space = space
        self._log_id = log_id
        self._segment_bytes = segment_bytes
        self.keeps = keeps
        self.on_segment: Callable[[int], None] = lambda _closed_size: None
        self.file: File
        self.number = self.next_number = 0
        self.position = self.written = 0
        self.records = 0
        self.total = 0
        self.live = 0
        self.retired: list[File] = []
        self.kept: list[list[bytes]] = []
        self._tag = 0
        self._failure: OSError | None = None
        self._room_end = 0
        self._put_end = 0
        self._pending: list[bytes] = []

    # -- records --------------------------------------------------------------------------------

    def append(self, record: bytes) -> None:
        """Add a record; it is written by the next ``write``."""
        position = self.position
        size = FRAME_SIZE + len(record)
        if position + size > self._room_end:
            self._make_way(size)
            position = self.position
        self._pending += (
            pack_frame(self._tag, len(record), crc32(record, (self._tag + position) & MASK)),
            record,
        )
        self.position = position + size
        self.records += 1

    def has_pending(self) -> bool:
        """Tell whether something waits to be written."""
        return bool(self._pending)

    def written_records(self) -> int:
        """Return how many of the records have been written."""
        return self.records - len(self._pending) // 2

    def write(self) -> None:
        """Write all that was appended. Raises OSError.

        For want of space it can be tried again. After any other error this segment is not touched
        again: each further try raises that error, until ``start`` begins another one.
        """
        pending = self._pending
        if not pending:
            return
        if self._failure is not None:
            raise self._failure
        try:
            self.file.write(b"".join(pending), self.written)
        except OSError as error:
            if not is_full(error):
                self._failure = error
            raise
        self.total += self.position - self.written
        self.written = self.position
        self._pending = []
        if self.keeps:
            self.kept.append(pending)

    def write_with_reserve(self) -> None:
        """Write all that was appended, if need be into all that is held back. Raises OSError."""
        self.space.release_all()
        try:
            self.write()
        finally:
            self.space.refill(self.live)

    def take_kept(self) -> list[list[bytes]]:
        """Return what was kept, and keep it no longer."""
        kept, self.kept = self.kept, []
        return kept

    def take_pending(self) -> list[bytes]:
        """Return the frames and records that have not been written, and forget them."""
        pending, self._pending = self._pending, []
        return pending

    # -- room -----------------------------------------------------------------------------------

    def has_room(self, body: int) -> bool:
        """Tell whether ``secure`` has had room before for a put with so large a body."""
        return self.position + JOB_OVERHEAD + body <= self._put_end

    def secure(self, body: int) -> bool:
        """Have room for a put with so large a body, and for all that may follow, if possible."""
        size = JOB_OVERHEAD + body
        space = self.space
        try:
            if self._is_due(size):
                self.rotate()
            end = self.position + size + space.chunk
            space.secure(self.file, end, self.live + size + space.chunk)
        except OSError as error:
            if is_full(error):
                space.full = True
                return False
            end = self.position + size  # Whatever this is, the write will tell.
        space.full = False
        self._put_end = max(self.position + size, min(end, self._segment_bytes))
        self._room_end = max(self._room_end, self._put_end)
        return True

    def _is_due(self, size: int) -> bool:
        """Tell whether so much more is to go into a new segment."""
        is_due = self.position + size > self._segment_bytes and self.position > _FRESH
        return is_due and len(self.retired) < MOST_RETIRED

    def _make_way(self, size: int) -> None:
        """Find room for a record that must be written, whatever it takes."""
        if self._is_due(size):
            with suppress(OSError):  # Then this segment grows beyond its size, or the write tells.
                self.rotate()
        end = self.position + size
        if end + self.space.chunk <= self._segment_bytes:
            end += self.space.chunk
        with suppress(OSError):  # Then the write will tell.
            self.space.extend(self.file, end)
        self._room_end = end

    # -- segments -------------------------------------------------------------------------------

    def rotate(self) -> None:
        """Go on in a new segment. Raises OSError, and then goes on in this one."""
        self.write()
        old, end = self.file, self.position
        self._start(self.next_number, (self.number, end))
        if end < old.allocated:
            with suppress(OSError):  # Otherwise it keeps some space that nobody needs.
                old.truncate(end)
            self.space.refill(self.live)
        self.retired.append(old)
        self.on_segment(end)

    def start(self, number: int, previous: Position, closed_size: int) -> None:
        """Go on in a new segment, whatever became of the old one. Raises OSError.

        ``closed_size`` is how much room the old one takes, 0 if there is none.
        """
        self._start(number, previous)
        self.on_segment(closed_size)

    def close(self) -> None:
        """End the last segment."""
        with suppress(OSError):  # Otherwise it keeps some space that nobody needs.
            self.file.truncate(self.written)
        self.space.refill(self.live)
        self.file.close()

    def _start(self, number: int, previous: Position) -> None:
        name = segment_name(number)
        file = self.space.create(name)
        try:
            self._extend_new(file)
            file.write(pack_header(Header(number, self._log_id, previous)), 0)
        except OSError:
            file.close()
            try:
                self._directory.remove(name)
            except OSError:
                self.next_number = number + 1  # That one is in the way.
            raise
        self.file = file
        self._failure = None
        self.number = number
        self.next_number = number + 1
        self.position = self.written = HEADER_SIZE
        self._tag = tag_of(self._log_id, number)
        self._room_end = file.allocated
        self._put_end = 0

    def _extend_new(self, file: File) -> None:
        """Have as much space for a new file as usual; if there is not, a block will have to do."""
        try:
            self.space.extend(file, HEADER_SIZE + self.space.chunk)
        except OSError as error:
            if not is_full(error):
                raise
            self.space.extend(file, BLOCK)
