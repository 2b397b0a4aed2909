"""The log of the server that is measured: its options, its directory, its size on the disk."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

_PREFIX = "stalkd-bench-"
# Memory that looks like a disk: a sync there costs nothing.
_NO_DISKS = frozenset({"tmpfs", "ramfs"})
_BLOCK_BYTES = 512  # of st_blocks, whatever the file system's own are
_PAGE = b"x" * 4096
_SYNCS = 200


@dataclass(frozen=True)
class Options:
    """Milliseconds between syncs (0: before each reply); bytes of a file, None for the default."""

    sync_ms: int
    segment_bytes: int | None = None

    def words(self, directory: Path) -> list[str]:
        """Words of the command line, the same for either server."""
        size = [] if self.segment_bytes is None else ["-s", str(self.segment_bytes)]
        return ["-b", str(directory), "-f", str(self.sync_ms), *size]


@contextmanager
def fresh_directory(parent: Path) -> Iterator[Path]:
    """An empty directory on a disk, removed at the end. Starts when the disk has nothing to do."""
    kind, _ = file_system(parent)
    if kind in _NO_DISKS:
        raise OSError(f"{parent} is {kind}, where syncs cost nothing: name a directory by --logs")
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent) as directory:
        os.sync()
        yield Path(directory)


def disk_bytes(directory: Path) -> int:
    """What the files of a log take on the disk, space that was had ahead included."""
    return sum(_allocated(path) for path in directory.iterdir())


def _allocated(path: Path) -> int:
    try:
        return path.stat().st_blocks * _BLOCK_BYTES
    except FileNotFoundError:
        return 0  # removed since it was listed


def file_system(path: Path) -> tuple[str, str]:
    """Kind and device of the file system that a path is on."""
    path = path.resolve()
    best: tuple[int, str, str] = (-1, "unknown", "unknown")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4].encode().decode("unicode_escape"))
        kind, device, *_ = after.split()
        if path.is_relative_to(point):
            best = max(best, (len(point.parts), kind, device), key=lambda found: found[0])
    return best[1:]


def syncs_per_s(parent: Path) -> float:
    """How often a second the disk takes 4 KiB, where the file has its space, and says so."""
    with tempfile.TemporaryFile(prefix=_PREFIX, dir=parent) as file:
        os.pwrite(file.fileno(), bytes(_SYNCS * len(_PAGE)), 0)
        os.fsync(file.fileno())
        started = perf_counter()
        for number in range(_SYNCS):
            os.pwrite(file.fileno(), _PAGE, number * len(_PAGE))
            os.fdatasync(file.fileno())
        return _SYNCS / (perf_counter() - started)
