"""All that the log asks of the system: a directory and files. Tests put faults and crashes here."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""The disk is full, or what the user may have of it."""

CANNOT_ALLOCATE: Final = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})
"""The file system cannot reserve space ahead; writes will find out."""

_CLOSED: Final = -1
_PRIVATE: Final = 0o600
_OWN_DIRECTORY: Final = 0o700


def is_full(error: OSError) -> bool:
    """Tell whether an error means that there is no space."""
    return error.errno in NO_SPACE


class FileRemovedError(OSError):
    """Somebody has removed a file that is being written: what it holds will be lost."""

    def __init__(self, name: str) -> None:
        super().__init__(errno.ENOENT, f"somebody removed {name}")


class File:
    """A file that is written. All methods raise OSError."""

    def __init__(self, path: Path, *, is_new: bool = True) -> None:
        """Make a new, empty file; or open one that is there, with all the space it has."""
        how = os.O_CREAT | os.O_EXCL if is_new else os.O_NOFOLLOW
        self._fd = os.open(path, how | os.O_WRONLY | os.O_CLOEXEC, _PRIVATE)
        self.name = path.name
        self.allocated = 0 if is_new else os.fstat(self._fd).st_size

    def write(self, data: bytes, offset: int) -> None:
        """Write all of ``data``. After an error, any part of it may be there."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, offset)
            view = view[written:]
            offset += written
        self.allocated = max(self.allocated, offset)

    def allocate(self, size: int) -> None:
        """Make sure that writes below ``size`` find space; zeros are read there until then."""
        if size <= self.allocated:
            return
        try:
            os.posix_fallocate(self._fd, self.allocated, size - self.allocated)
        except OSError as error:
            with suppress(OSError):  # Give back what was had of it.
                os.ftruncate(self._fd, self.allocated)
            if error.errno in CANNOT_ALLOCATE:
                self.allocated = size
                return
            raise
        self.allocated = size

    def truncate(self, size: int) -> None:
        """Cut the file, and give back the space behind."""
        os.ftruncate(self._fd, size)
        self.allocated = size

    def sync(self) -> None:
        """Return when all that was written is on the disk."""
        if hasattr(fcntl, "F_FULLFSYNC"):  # macOS: fsync stops at the disk's own memory
            fcntl.fcntl(self._fd, fcntl.F_FULLFSYNC)
        else:
            os.fdatasync(self._fd)

    def is_there(self) -> bool:
        """Tell whether the file still has a name."""
        return os.fstat(self._fd).st_nlink > 0

    def close(self) -> None:
        """Give the descriptor back, if that has not been done."""
        if self._fd != _CLOSED:
            os.close(self._fd)
            self._fd = _CLOSED


class Directory:
    """The directory of a log. All methods raise OSError."""

    def __init__(self, path: Path) -> None:
        """Open an existing directory."""
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def names(self) -> list[str]:
        """Return the names of all files."""
        return [entry.name for entry in self.path.iterdir()]

    def create(self, name: str) -> File:
        """Make a new file."""
        return File(self.path / name)

    def reopen(self, name: str) -> File:
        """Open a file that is there, to be written."""
        return File(self.path / name, is_new=False)

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        return (self.path / name).read_bytes()

    def read_start(self, name: str, size: int) -> bytes:
        """Return a file's first bytes, as many as it has of them."""
        with (self.path / name).open("rb") as file:
            return file.read(size)

    def size(self, name: str) -> int:
        """Return a file's length."""
        return os.stat(name, dir_fd=self._fd).st_size

    def remove(self, name: str) -> None:
        """Remove a file; whether it is gone after a power cut, only ``sync`` makes certain."""
        os.unlink(name, dir_fd=self._fd)

    def sync_file(self, name: str) -> None:
        """Return when what others wrote to a file is on the disk."""
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._fd)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def sync(self) -> None:
        """Return when all that was created and removed here is so on the disk."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)


def make_directory(path: Path) -> None:
    """Make a directory and those above it, if missing, for this user only. Raises OSError."""
    if path.is_dir():
        return
    make_directory(path.parent)
    with suppress(FileExistsError):
        path.mkdir(_OWN_DIRECTORY)
    parent = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
