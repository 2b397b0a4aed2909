"""Reading from a disk that fails: what it still gives of a file, and a note of what it does not."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from stalkd.journal.files import Directory

if TYPE_CHECKING:
    from pathlib import Path

BLOCK: Final = 4096
"""Bytes that are given up together: what Linux reads from a disk at least."""


class FailingDirectory(Directory):
    """A directory whose files may have blocks that cannot be read; these are zeros.

    Zeros look like space that was never used, so ``unreadable`` says, in words, where they are.
    """

    def __init__(self, path: Path) -> None:
        """Open an existing directory."""
        super().__init__(path)
        self.unreadable: list[str] = []

    def read(self, name: str) -> bytes:
        """Return a file's content, with zeros for the blocks that the disk does not give."""
        try:
            return super().read(name)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
        fd = os.open(self.path / name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return self._blocks(name, fd, self.size(name))
        finally:
            os.close(fd)

    def _blocks(self, name: str, fd: int, size: int) -> bytes:
        data, bad = bytearray(size), []
        for start in range(0, size, BLOCK):
            try:
                block = os.pread(fd, min(BLOCK, size - start), start)
            except OSError:
                bad.append(start)
            else:
                data[start : start + len(block)] = block
        if bad:
            self.unreadable.append(
                f"{name}: {len(bad)} of its blocks of {BLOCK} bytes cannot be read,"
                f" the first at {bad[0]}"
            )
        return bytes(data)
