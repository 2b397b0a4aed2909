"""Space on the disk: had before it is needed, so that only puts are ever refused for want of it.

The file being written is extended ahead of the data. Besides, a file ``reserve`` holds as much
space as cleaning a segment may need; when the disk is full, it shrinks in favour of the log.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from stalkd.journal.files import is_full
from stalkd.journal.limits import (
    CHUNKS_PER_SEGMENT,
    MOST_CHUNK,
    RESERVE_PER_LIVE,
    RESERVE_SHARE,
    SPARE_CHUNKS,
)
from stalkd.journal.segment import RESERVE_NAME

if TYPE_CHECKING:
    from stalkd.journal.files import Directory, File


class Space:
    """The reserve, and whether the disk is full as far as puts are concerned."""

    def __init__(self, directory: Directory, segment_bytes: int) -> None:
        """Start with an empty reserve. Raises OSError when not even that can be made."""
        self.full = False
        self.chunk = min(MOST_CHUNK, segment_bytes // CHUNKS_PER_SEGMENT)
        self._segment_bytes = segment_bytes
        self._directory = directory
        self._in_vain = False
        if RESERVE_NAME in directory.names():
            directory.remove(RESERVE_NAME)
        self._reserve = directory.create(RESERVE_NAME)

    @property
    def reserved(self) -> int:
        """Bytes that are held back."""
        return self._reserve.allocated

    def wanted(self, live: int) -> int:
        """Return how many bytes to hold back for so many live ones, in whole chunks."""
        copies = min(live, self._segment_bytes) * RESERVE_PER_LIVE
        size = int(copies) + live // RESERVE_SHARE
        return (size // self.chunk + 1 + SPARE_CHUNKS) * self.chunk

    def secure(self, file: File, size: int, live: int) -> None:
        """Have space for a file of that size, and the reserve for so much live data as well.

        Raises OSError when there is not.
        """
        file.allocate(size)
        self._reserve.allocate(self.wanted(live))

    def give_back(self, live: int) -> None:
        """Let go of what need not be held back any more."""
        wanted = self.wanted(live)
        # To cut a file can take long while the disk is busy.
        slack = 0 if self.full else self._segment_bytes // CHUNKS_PER_SEGMENT
        if wanted + slack < self._reserve.allocated:
            self._reserve.truncate(wanted)

    def refill(self, live: int) -> None:
        """On a full disk, hold back again what has become free since, be it little."""
        wanted = self.wanted(live) if self.full else 0
        with suppress(OSError):
            while self._reserve.allocated < wanted:
                self._reserve.allocate(min(wanted, self._reserve.allocated + self.chunk))

    def create(self, name: str) -> File:
        """Make a new file, which may take some of the reserve. Raises OSError."""
        try:
            file = self._directory.create(name)
        except OSError as error:
            held = self._reserve.allocated
            if not is_full(error) or not held or self._in_vain:
                raise
        else:
            self._in_vain = False
            return file
        self.release(self.chunk)
        try:
            file = self._directory.create(name)
        except OSError:
            self._in_vain = True  # Something else is wanting, inodes for instance.
            with suppress(OSError):
                self._reserve.allocate(held)
            raise
        self.full = True
        return file

    def extend(self, file: File, size: int) -> None:
        """Have space for a file of that size, from the reserve if need be. Raises OSError."""
        try:
            file.allocate(size)
        except OSError as error:
            if not is_full(error) or not self._reserve.allocated:
                raise
            self.full = True
            self.release(size - file.allocated + self.chunk)
            file.allocate(size)

    def release(self, size: int) -> None:
        """Give so many bytes of the reserve to whoever takes them."""
        self._reserve.truncate(max(0, self._reserve.allocated - size))

    def release_all(self) -> None:
        """Give all of the reserve to whoever takes it. Raises OSError."""
        self.full = True
        self._reserve.truncate(0)

    def close(self) -> None:
        """Leave the reserve as it is: the next start may need it."""
        self._reserve.close()
