"""A disk in memory, behind the seam of ``stalkd.journal.files``, that knows what a power cut loses.

Each file has what is on the disk for certain (``settled``), what was done to it since (``changes``)
and what the system's memory shows (``content``); each name has the files that it may stand for on
the disk. A sync has a beginning and an end, and covers what was done before its beginning. When it
fails, what it was to cover is doubtful for ever: later syncs succeed without it, as those of Linux.

``on_step`` is called before each operation; it may raise, look at the disk, or return a Fault.
``on_pause`` is called in the middle of each sync.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from stalkd.journal.files import CANNOT_ALLOCATE, Directory, File

BLOCK = 4096
"""Bytes by which space is given out."""


class Kind(StrEnum):
    """An operation."""

    CREATE = "create"
    WRITE = "write"
    ALLOCATE = "allocate"
    TRUNCATE = "truncate"
    SYNC = "sync"
    SYNC_DIRECTORY = "sync directory"
    REMOVE = "remove"
    READ = "read"


class Fault(NamedTuple):
    """What goes wrong with an operation: a write stores ``part`` of its bytes before it fails."""

    code: int
    part: float = 0.0

    def error(self, name: str) -> OSError:
        return OSError(self.code, os.strerror(self.code), name)


class Killed(BaseException):
    """The process ends here; nothing that it still tries has an effect."""


class Change:
    """One operation on a file since it was last settled.

    ``data`` goes to ``start``; without data the file gets at least ``least`` bytes (allocate) or
    at most ``most`` (truncate). ``serial`` tells its place among all operations of the disk.
    """

    __slots__ = ("data", "doubtful", "least", "most", "serial", "settled", "start", "time")

    def __init__(self, serial: int, time: int) -> None:
        self.serial = serial
        self.time = time
        self.start = 0
        self.data = b""
        self.least: int | None = None
        self.most: int | None = None
        self.settled = False
        self.doubtful = False

    def apply(self, content: bytearray) -> None:
        if self.most is not None:
            del content[self.most :]
        elif self.least is not None:
            extend(content, self.least)
        else:
            store(content, self.start, self.data)


def extend(content: bytearray, size: int) -> None:
    """Let a file have at least ``size`` bytes; the new ones are zeros."""
    if size > len(content):
        content += bytes(size - len(content))


def store(content: bytearray, start: int, data: bytes) -> None:
    extend(content, start)
    content[start : start + len(data)] = data


class Inode:
    """A file without its name."""

    def __init__(self, settled: bytearray | None = None) -> None:
        self.settled = bytearray() if settled is None else settled
        self.content = bytearray(self.settled)
        self.changes: list[Change] = []

    def change(self, change: Change) -> None:
        change.apply(self.content)
        self.changes.append(change)

    def settle(self, covered: list[Change]) -> None:
        """Take in a good sync."""
        for change in covered:
            change.settled = not change.doubtful
        self._fold()

    def doubt(self, covered: list[Change]) -> None:
        """Take in a bad sync."""
        for change in covered:
            change.doubtful = not change.settled

    def _fold(self) -> None:
        count = 0
        for change in self.changes:
            if not change.settled:
                break
            change.apply(self.settled)
            count += 1
        del self.changes[:count]


class Link:
    """What a name stood for at some time: a file or nothing."""

    __slots__ = ("doubtful", "inode", "serial", "time")

    def __init__(self, inode: Inode | None, serial: int, time: int) -> None:
        self.inode = inode
        self.serial = serial
        self.time = time
        self.doubtful = False


class Disk:
    """All files. ``now`` is only noted; ``capacity`` in bytes, None if it is never full."""

    def __init__(self) -> None:
        self.links: dict[str, list[Link]] = {}
        """Name -> what it may stand for on the disk, oldest first; the last is what is seen."""
        self.serial = 0
        self.now = 0
        self.capacity: int | None = None
        self.can_allocate = True
        self.opened: set[SimFile] = set()
        self.on_step: Callable[[Kind, str], Fault | None] = lambda _kind, _name: None
        self.on_pause: Callable[[], None] = lambda: None

    def next_serial(self) -> int:
        self.serial += 1
        return self.serial

    # -- what is seen ---------------------------------------------------------------------------

    def names(self) -> list[str]:
        return [name for name, links in self.links.items() if links[-1].inode is not None]

    def find(self, name: str) -> Inode:
        links = self.links.get(name)
        if links is None or links[-1].inode is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return links[-1].inode

    def free(self) -> int | None:
        """Bytes that are left, None if there is no limit."""
        if self.capacity is None:
            return None
        inodes = {self.find(name) for name in self.names()} | {each.inode for each in self.opened}
        return self.capacity - sum(blocks(len(inode.content)) for inode in inodes)

    def has_room(self, inode: Inode, size: int) -> bool:
        """Tell whether a file may become so large."""
        free = self.free()
        return free is None or blocks(size) - blocks(len(inode.content)) <= free

    # -- names ----------------------------------------------------------------------------------

    def link(self, name: str, inode: Inode | None) -> None:
        links = self.links.setdefault(name, [Link(None, 0, self.now)])
        links.append(Link(inode, self.next_serial(), self.now))

    def pending_links(self) -> dict[str, Link]:
        return {name: links[-1] for name, links in self.links.items()}

    def settle_links(self, covered: dict[str, Link]) -> None:
        """Take in a good sync of the directory."""
        for name, link in covered.items():
            links = self.links.get(name, [])
            if link in links and not link.doubtful:
                del links[: links.index(link)]
                if len(links) == 1 and link.inode is None:
                    del self.links[name]

    def doubt_links(self, covered: dict[str, Link]) -> None:
        """Take in a bad sync of the directory."""
        for name, link in covered.items():
            links = self.links.get(name, [])
            if link in links:
                for each in links[1 : links.index(link) + 1]:
                    each.doubtful = True

    # -- what the system does by itself ---------------------------------------------------------

    def inodes(self) -> Iterator[Inode]:
        """All files that any name may stand for."""
        for links in self.links.values():
            yield from (link.inode for link in links if link.inode is not None)

    def write_back(self, before: int) -> None:
        """Settle what was done before a time, as the system does after a while."""
        for inode in self.inodes():
            inode.settle([change for change in inode.changes if change.time < before])
        for name, links in list(self.links.items()):
            old = [link for link in links if link.time < before]
            if old:
                self.settle_links({name: old[-1]})


def blocks(size: int) -> int:
    """Return how much of the disk so many bytes take."""
    return -(-size // BLOCK) * BLOCK


class SimDirectory(Directory):
    """The directory, as one process has it open."""

    def __init__(self, disk: Disk) -> None:
        self.path = Path("/sim")
        self.disk = disk
        self.is_alive = True

    def step(self, kind: Kind, name: str) -> Fault | None:
        self.demand_life()
        fault = self.disk.on_step(kind, name)
        self.demand_life()
        return fault

    def pause(self) -> None:
        self.demand_life()
        self.disk.on_pause()
        self.demand_life()

    def demand_life(self) -> None:
        if not self.is_alive:
            raise Killed

    def kill(self) -> None:
        """End the process: what it has open is closed."""
        self.is_alive = False
        self.disk.opened.clear()

    def names(self) -> list[str]:
        return self.disk.names()

    def create(self, name: str) -> File:
        if fault := self.step(Kind.CREATE, name):
            raise fault.error(name)
        if name in self.disk.names():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        free = self.disk.free()
        if free is not None and free < 0:
            raise Fault(errno.ENOSPC).error(name)
        inode = Inode()
        self.disk.link(name, inode)
        return SimFile(self, inode, name)

    def reopen(self, name: str) -> File:
        file = SimFile(self, self.disk.find(name), name)
        file.allocated = len(file.inode.content)
        return file

    def read(self, name: str) -> bytes:
        if fault := self.step(Kind.READ, name):
            raise fault.error(name)
        return bytes(self.disk.find(name).content)

    def read_start(self, name: str, size: int) -> bytes:
        return self.read(name)[:size]

    def size(self, name: str) -> int:
        return len(self.disk.find(name).content)

    def remove(self, name: str) -> None:
        if fault := self.step(Kind.REMOVE, name):
            raise fault.error(name)
        self.disk.find(name)
        self.disk.link(name, None)

    def sync_file(self, name: str) -> None:
        sync_inode(self, self.disk.find(name), name)

    def sync(self) -> None:
        fault = self.step(Kind.SYNC_DIRECTORY, "")
        covered = self.disk.pending_links()
        self.pause()
        if fault:
            self.disk.doubt_links(covered)
            raise fault.error("")
        self.disk.settle_links(covered)

    def close(self) -> None:
        pass


def sync_inode(directory: SimDirectory, inode: Inode, name: str) -> None:
    fault = directory.step(Kind.SYNC, name)
    covered = list(inode.changes)
    directory.pause()
    if fault:
        inode.doubt(covered)
        raise fault.error(name)
    inode.settle(covered)


class SimFile(File):
    """A file that is written."""

    def __init__(self, directory: SimDirectory, inode: Inode, name: str) -> None:
        self.name = name
        self.allocated = 0
        self.inode = inode
        self._directory = directory
        self._disk = directory.disk
        self._disk.opened.add(self)

    def _step(self, kind: Kind) -> Fault | None:
        assert self in self._disk.opened or not self._directory.is_alive, f"{self.name} is closed"
        return self._directory.step(kind, self.name)

    def _change(self) -> Change:
        return Change(self._disk.next_serial(), self._disk.now)

    def write(self, data: bytes, offset: int) -> None:
        fault = self._step(Kind.WRITE)
        stored = data if fault is None else data[: round(len(data) * fault.part)]
        if not self._disk.has_room(self.inode, offset + len(stored)):
            stored, fault = b"", Fault(errno.ENOSPC)
        if stored:
            change = self._change()
            change.start, change.data = offset, stored
            self.inode.change(change)
        if fault:
            raise fault.error(self.name)

    def allocate(self, size: int) -> None:
        if size <= self.allocated:
            return
        fault = self._step(Kind.ALLOCATE)
        if not self._disk.can_allocate:
            fault = fault or Fault(errno.EOPNOTSUPP)
        elif fault is None and not self._disk.has_room(self.inode, size):
            fault = Fault(errno.ENOSPC)
        if fault is None:
            change = self._change()
            change.least = size
            self.inode.change(change)
        elif fault.code not in CANNOT_ALLOCATE:
            raise fault.error(self.name)
        self.allocated = size

    def truncate(self, size: int) -> None:
        if fault := self._step(Kind.TRUNCATE):
            raise fault.error(self.name)
        change = self._change()
        if size > len(self.inode.content):
            change.least = size
        else:
            change.most = size
        self.inode.change(change)
        self.allocated = size

    def sync(self) -> None:
        assert self in self._disk.opened or not self._directory.is_alive, f"{self.name} is closed"
        sync_inode(self._directory, self.inode, self.name)

    def is_there(self) -> bool:
        links = self._disk.links.get(self.name)
        return links is not None and links[-1].inode is self.inode

    def close(self) -> None:
        if self._directory.is_alive:
            self._disk.opened.remove(self)  # A second close might hit somebody else's file.
