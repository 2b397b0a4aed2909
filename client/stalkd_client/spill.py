"""Bodies that are larger than the server takes, in files of a directory that all sides can reach.

The job then has a reference as its body. What it refers to is written and synced before the job is
put, and removed after the job has been acknowledged.
"""

from __future__ import annotations

import os
import re
import secrets
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Final

MAGIC: Final = b"\0stalkd-spill "
"""How a reference begins: no JSON and no text begins so."""

_REFERENCE: Final = re.compile(re.escape(MAGIC) + rb"1 ([0-9a-f]{32}) (\d+) ([0-9a-f]{8})\n")


def is_reference(body: bytes) -> bool:
    """Tell whether a body refers to a file."""
    return body.startswith(MAGIC) and _REFERENCE.fullmatch(body) is not None


class SpillError(ValueError):
    """The file that a job refers to is not there, or not what was written."""


class Spill:
    """Parks bodies in a directory, and gets them back."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        """Use a directory; it is made when the first body comes."""
        self.directory: Path = Path(directory).absolute()

    def __repr__(self) -> str:
        return f"<Spill {self.directory}>"

    def must_park(self, body: bytes, limit: int) -> bool:
        """Tell whether a body is too large for the server, or would be taken for a reference."""
        return len(body) > limit or body.startswith(MAGIC)

    def park(self, body: bytes) -> bytes:
        """Write a body to a file, and sync it; return the reference. Raises OSError."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = secrets.token_hex(16)
        part = self.directory / f"{name}.part"
        try:
            with part.open("xb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            part.rename(self.directory / name)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        self._sync()
        return MAGIC + b"1 %b %d %08x\n" % (name.encode(), len(body), zlib.crc32(body))

    def _sync(self) -> None:
        fd = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def fetch(self, body: bytes) -> bytes:
        """Return what was parked; a body that is no reference stays as it is. Raises SpillError."""
        if not body.startswith(MAGIC):
            return body
        path, size, checksum = self._read(body)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise SpillError(f"the body of this job should be in {path}: {error}") from error
        if len(data) != size or zlib.crc32(data) != checksum:
            raise SpillError(f"{path} is not what was written: {len(data)} of {size} bytes")
        return data

    def forget(self, body: bytes) -> None:
        """Remove the file that a reference leads to."""
        if body.startswith(MAGIC):
            with suppress(OSError):  # It can only be gone already, or must be left.
                self._read(body)[0].unlink()

    def _read(self, body: bytes) -> tuple[Path, int, int]:
        """Read a reference. It can only lead to files with names as we make them."""
        found = _REFERENCE.fullmatch(body)
        if found is None:
            raise SpillError(f"no reference to a file: {body[:100]!r}")
        name, size, checksum = found.groups()
        return self.directory / name.decode(), int(size), int(checksum, 16)
