"""A small disk in memory, that gets full: what it cannot hold fails with ENOSPC.

Space is given out in blocks, to files and to ``others``; a removed file gives its blocks back when
it is closed. Without ``reserves`` the file system cannot allocate ahead: only writes take space.
"""

from __future__ import annotations

import errno
import os

from stalkd.journal.files import File
from support.directories import Image, ImageFile

BLOCK = 4096


def blocks(size: int) -> int:
    """Bytes that the disk gives for so many."""
    return -(-size // BLOCK) * BLOCK


class SmallFile(ImageFile):
    """A file on a ``SmallDisk``."""

    def __init__(self, disk: SmallDisk, name: str, *, is_new: bool = True) -> None:
        super().__init__(disk, name, is_new=is_new)
        self._disk = disk
        self.taken = 0 if is_new else disk.forget(self._content)
        self.is_open = True
        disk.inodes.append(self)

    def write(self, data: bytes, offset: int) -> None:
        """Write what there is room for, then fail."""
        room = self.taken + self._disk.free() - offset
        if room < len(data):
            super().write(data[: max(room, 0)], offset)
            self._take()
            raise full(self.name)
        super().write(data, offset)
        self._take()

    def allocate(self, size: int) -> None:
        if not self._disk.reserves:
            self.allocated = max(self.allocated, size)
            return
        if blocks(size) - self.taken > self._disk.free():
            raise full(self.name)
        super().allocate(size)
        self._take()

    def truncate(self, size: int) -> None:
        if not self._disk.reserves:
            size = min(size, len(self._content))
        super().truncate(size)
        self._take()

    def close(self) -> None:
        self.is_open = False
        self._disk.tidy()

    def _take(self) -> None:
        self.taken = blocks(len(self._content))

    def holds(self, content: bytearray) -> bool:
        return self._content is content

    def is_gone(self) -> bool:
        return not self.is_open and self._disk.files.get(self.name) is not self._content


class SmallDisk(Image):
    """A directory on a disk of ``size`` bytes, of which ``others`` are used by somebody else."""

    def __init__(self, size: int, *, reserves: bool = True) -> None:
        super().__init__()
        self.size_of_disk = size
        self.reserves = reserves
        self.others = 0
        self.most_files = 1_000_000
        self.takes_space_for_names = False
        self.inodes: list[SmallFile] = []

    def free(self) -> int:
        """Bytes that are still to be had."""
        return self.size_of_disk - self.others - self.used()

    def used(self) -> int:
        """Bytes that the log has."""
        return sum(each.taken for each in self.inodes)

    def fill(self) -> None:
        """Let others have all the rest."""
        self.others += self.free() // BLOCK * BLOCK

    def tidy(self) -> None:
        """Take back the blocks of files that are gone."""
        self.inodes = [each for each in self.inodes if not each.is_gone()]

    def create(self, name: str) -> File:
        if name in self.files:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        wanting = self.takes_space_for_names and self.free() < BLOCK
        if wanting or len(self.inodes) >= self.most_files:
            raise full(name)
        return SmallFile(self, name)

    def reopen(self, name: str) -> File:
        return SmallFile(self, name, is_new=False)

    def forget(self, content: bytearray) -> int:
        """Forget a file that was closed and is opened again; return the bytes that it takes."""
        before = [each for each in self.inodes if each.holds(content)]
        self.inodes = [each for each in self.inodes if not each.holds(content)]
        return sum(each.taken for each in before)

    def remove(self, name: str) -> None:
        super().remove(name)
        self.tidy()


def full(name: str) -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
