"""Space on the disk: had before it is needed, so that only puts are ever refused for want of it.

The file being written is extended ahead of the data. Besides, a file ``reserve`` holds as much
space as cleaning a segment may need; when the disk is full, it shrinks in favour of the log.

What has once been had is not given back to a full disk, not even for a moment and not at the end:
somebody else would take it. So the reserve of the last run is gone on with, and where it has
shrunk, old segments that nothing needs are left where they are, until their space is needed.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from stalkd.journal.files import is_full
from stalkd.journal.limits import (
    BLOCK,
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
        """Start with what the last run has held back. Raises OSError when there is no reserve."""
        self.full = False
        self.chunk = min(MOST_CHUNK, segment_bytes // CHUNKS_PER_SEGMENT)
        self._segment_bytes = segment_bytes
        self._directory = directory
        self._in_vain = False
        self._reserve = _reserve_of(directory)
        self._held: dict[str, int] = {}

    @property
    def reserved(self) -> int:
        """Bytes that are held back."""
        return self._reserve.allocated + sum(self._held.values())

    def wanted(self, live: int) -> int:
        """Return how many bytes to hold back for so many live ones, in whole chunks."""
        copies = min(live, self._segment_bytes) * RESERVE_PER_LIVE
        size = int(copies) + live // RESERVE_SHARE
        return (size // self.chunk + 1 + SPARE_CHUNKS) * self.chunk

    def lacking(self, live: int) -> int:
        """Return how much of that is missing on a full disk; nothing if it is 0 or less."""
        return self.wanted(live) - self.reserved if self.full else 0

    def hold(self, name: str) -> None:
        """Hold back the space of a file, which may be removed at any time."""
        with suppress(OSError):  # Then it is not there.
            self._held[name] = -(-self._directory.size(name) // BLOCK) * BLOCK

    def cut(self, name: str, size: int) -> None:
        """Take back the space that the last run had ahead of its data."""
        with suppress(OSError):  # Then the file keeps it until nothing needs it.
            file = self._directory.reopen(name)
            try:
                file.truncate(size)
            finally:
                file.close()

    def secure(self, file: File, size: int, live: int) -> None:
        """Have space for a file of that size, and the reserve for so much live data as well.

        Raises OSError when there is not.
        """
        file.allocate(size)
        self._reserve.allocate(self.wanted(live) - sum(self._held.values()))

    def give_back(self, live: int) -> None:
        """Let go of what need not be held back any more."""
        if not self.full:
            self._melt(self.reserved)
        # To cut a file can take long while the disk is busy.
        slack = 0 if self.full else self._segment_bytes // CHUNKS_PER_SEGMENT
        surplus = self.reserved - self.wanted(live)
        if surplus > slack:
            self.release(surplus)

    def refill(self, live: int) -> None:
        """On a full disk, hold back again what has become free since, be it little."""
        self._grow(self.lacking(live))

    def _grow(self, size: int) -> None:
        """Hold back so much more, or what there is of it; if there is nothing, that is soon clear.

        The steps get larger until one fails, and then smaller.
        """
        step, factor = BLOCK, 2
        while size > 0 and step >= BLOCK:
            try:
                self._reserve.allocate(self._reserve.allocated + min(step, size))
                size -= step
            except OSError:
                factor, step = 1, step // 2
            else:
                step *= factor

    def _melt(self, size: int) -> None:
        """Turn files that are held into the reserve proper, until that has so much."""
        while self._held and self._reserve.allocated < size:
            name, held = next(iter(self._held.items()))
            del self._held[name]
            with suppress(OSError):
                self._directory.remove(name)
            self._grow(held)

    def create(self, name: str) -> File:
        """Make a new file, which may take some of the reserve. Raises OSError."""
        try:
            file = self._directory.create(name)
        except OSError as error:
            held = self.reserved
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
            self._grow(held - self.reserved)
            raise
        self.full = True
        return file

    def extend(self, file: File, size: int) -> None:
        """Have space for a file of that size, from the reserve if need be. Raises OSError."""
        try:
            file.allocate(size)
        except OSError as error:
            if not is_full(error) or not self.reserved:
                raise
            self.full = True
            self.release(size - file.allocated + self.chunk)
            try:
                file.allocate(size)
            finally:
                self._grow(self.chunk)

    def release(self, size: int) -> None:
        """Give so many bytes of the reserve to whoever takes them."""
        self._melt(size)
        self._reserve.truncate(max(0, self._reserve.allocated - size))

    def release_all(self) -> None:
        """Give all of the reserve to whoever takes it. Raises OSError."""
        self.full = True
        self.release(self.reserved)

    def close(self) -> None:
        """Leave the reserve as it is: the next start may need it."""
        self._reserve.close()


def _reserve_of(directory: Directory) -> File:
    """Return the reserve that is there, or a new and empty one. Raises OSError."""
    if RESERVE_NAME in directory.names():
        try:
            return _filled(directory.reopen(RESERVE_NAME))
        except OSError:  # Whatever it is, it is not ours.
            directory.remove(RESERVE_NAME)
    return directory.create(RESERVE_NAME)


def _filled(file: File) -> File:
    """Return the file with space for all its length: who copies a directory may leave holes."""
    size, file.allocated = file.allocated, 0
    try:
        file.allocate(size)
    except OSError:
        file.truncate(0)
    return file
