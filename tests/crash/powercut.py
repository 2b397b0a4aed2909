"""What a disk may hold after a power cut.

Settled changes are there. Of the others each may be there or not, or be torn: cut at any byte, any
of its sectors missing, or only its size noted. Names stand for what they stood for at the last sync
of the directory, or at any time since.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product
from random import Random

from support.disk import Change, Disk, Inode, Link, extend, store

SECTOR = 512
IGNORED = "reserve"
"""A file whose content and size nobody reads."""

Fate = Callable[[bytearray, Change], None]
"""Does to a file's content what becomes of an unsettled change."""

Contents = dict[Inode, bytearray]


def kept(content: bytearray, change: Change) -> None:
    change.apply(content)


def lost(content: bytearray, change: Change) -> None:
    pass


def blank(content: bytearray, change: Change) -> None:
    """The size is there, the data are not."""
    extend(content, change.start + len(change.data))


def cut(at: int) -> Fate:
    def fate(content: bytearray, change: Change) -> None:
        store(content, change.start, change.data[:at])

    return fate


def sectors(rng: Random, probability: float) -> Fate:
    def fate(content: bytearray, change: Change) -> None:
        if rng.random() < 0.5:
            blank(content, change)
        for start, data in by_sector(change):
            if rng.random() < probability:
                store(content, start, data)

    return fate


def by_sector(change: Change) -> Iterator[tuple[int, bytes]]:
    """Give the parts of a write that are in different sectors."""
    start, end = change.start, change.start + len(change.data)
    while start < end:
        stop = min((start // SECTOR + 1) * SECTOR, end)
        yield start, change.data[start - change.start : stop - change.start]
        start = stop


def crash_states(disk: Disk, rng: Random, samples: int) -> Iterator[Disk]:
    """Give all states that a power cut may leave if these are few, else a sample of them."""
    names, inodes = unsettled(disk)
    changes = [change for inode in inodes for change in inode.changes if not change.settled]
    ways = [fates(change) for change in changes]
    count = math.prod(len(links) for links in names) * math.prod(map(len, ways))
    if count > samples:
        yield from (sample(disk, rng) for _ in range(samples))
        return
    for links in product(*names):
        for fate in product(*ways):
            chosen = dict(zip(changes, fate, strict=True))
            contents = {inode: content_of(inode, chosen) for inode in inodes}
            yield build(disk, dict(zip(names_of(disk), links, strict=True)), contents)


def unsettled(disk: Disk) -> tuple[list[list[Link]], list[Inode]]:
    names = [disk.links[name] for name in names_of(disk)]
    inodes = [
        link.inode
        for name, links in disk.links.items()
        for link in links
        if name != IGNORED and link.inode is not None and link.inode.changes
    ]
    return names, inodes


def names_of(disk: Disk) -> list[str]:
    """The names that may stand for different things."""
    return [name for name, links in disk.links.items() if len(links) > 1]


def fates(change: Change) -> list[Fate]:
    return [kept, lost, blank] if change.data else [kept, lost]


def content_of(inode: Inode, chosen: dict[Change, Fate]) -> bytearray:
    content = bytearray(inode.settled)
    for change in inode.changes:
        chosen.get(change, kept)(content, change)
    return content


def build(disk: Disk, links: dict[str, Link], contents: Contents) -> Disk:
    """Make the disk that is found after the power cut."""
    found = Disk()
    found.now = disk.now
    found.capacity = disk.capacity
    for name, options in disk.links.items():
        inode = links.get(name, options[-1]).inode
        if inode is not None:
            content = contents[inode] if inode in contents else bytearray(inode.settled)
            found.links[name] = [Link(Inode(content), 0, disk.now)]
    return found


# -- samples --------------------------------------------------------------------------------------


def sample(disk: Disk, rng: Random) -> Disk:
    """Make one of many possible states."""
    _, inodes = unsettled(disk)
    way = rng.choice([independently, independently, in_order, by_file, by_version])
    contents = way(disk, inodes, rng)
    style = rng.random()
    links = {name: pick_link(disk.links[name], style, rng) for name in names_of(disk)}
    return build(disk, links, contents)


def pick_link(links: list[Link], style: float, rng: Random) -> Link:
    if style < 0.4:
        return links[-1]
    if style < 0.5:
        return links[0]
    return rng.choice(links)


def independently(_disk: Disk, inodes: list[Inode], rng: Random) -> Contents:
    """Each change has its own fate."""
    keep = rng.choice([0.1, 0.5, 0.9, 0.98])
    return {inode: content_of(inode, random_fates(inode, rng, keep)) for inode in inodes}


def random_fates(inode: Inode, rng: Random, keep: float) -> dict[Change, Fate]:
    return {
        change: kept if rng.random() < keep else random_fate(change, rng)
        for change in inode.changes
        if not change.settled
    }


def random_fate(change: Change, rng: Random) -> Fate:
    if not change.data:
        return lost
    torn = [cut(rng.randrange(len(change.data))), sectors(rng, rng.random())]
    return rng.choice([lost, blank, *torn])


def in_order(_disk: Disk, inodes: list[Inode], rng: Random) -> Contents:
    """The changes of all files got to the disk one after the other; the last one is torn."""
    serials = sorted(c.serial for inode in inodes for c in inode.changes if not c.settled)
    last = rng.choice([*serials, math.inf])

    def fate(change: Change) -> Fate:
        if change.serial < last:
            return kept
        return random_fate(change, rng) if change.serial == last else lost

    return {
        inode: content_of(inode, {c: fate(c) for c in inode.changes if not c.settled})
        for inode in inodes
    }


def by_file(_disk: Disk, inodes: list[Inode], rng: Random) -> Contents:
    """Some files got to the disk, others did not."""
    chosen: Contents = {}
    for inode in inodes:
        fate: Fate = rng.choice([kept, lost, blank])
        chosen[inode] = content_of(inode, {c: fate for c in inode.changes if not c.settled})
    return chosen


def by_version(_disk: Disk, inodes: list[Inode], rng: Random) -> Contents:
    """Each sector, and the size, is as it was at some time since the last sync."""
    return {inode: versions_of(inode, rng) for inode in inodes}


def versions_of(inode: Inode, rng: Random) -> bytearray:
    content = bytearray(inode.settled)
    times: dict[int, int] = {}
    size_time = rng.randrange(len(inode.changes) + 1)
    size = len(content)
    end = len(inode.changes)
    for index, change in enumerate(inode.changes):
        if change.settled:
            change.apply(content)
        for start, data in by_sector(change):
            time = times.setdefault(start // SECTOR, rng.randrange(end + 1))
            if not change.settled and index < time:
                store(content, start, data)
        if change.settled or index < size_time:
            size = size_after(change, size)
    del content[size:]
    extend(content, size)
    return content


def size_after(change: Change, size: int) -> int:
    if change.most is not None:
        return min(size, change.most)
    return max(size, change.least or change.start + len(change.data))


# -- every byte -----------------------------------------------------------------------------------


SHORT = 300
"""Bytes that are all tried; of longer writes the first and last so many, and a few between."""


def torn_states(disk: Disk) -> Iterator[Disk]:
    """Give the states in which all is there but the end of the last write to a file."""
    _, inodes = unsettled(disk)
    for inode in inodes:
        writes = [change for change in inode.changes if change.data and not change.settled]
        for at in places(len(writes[-1].data) if writes else 0):
            contents = {inode: content_of(inode, {writes[-1]: cut(at)})}
            yield build(
                disk, {}, {**{each: bytearray(each.content) for each in inodes}, **contents}
            )


def places(size: int) -> list[int]:
    """Where to cut so many bytes."""
    if size <= 2 * SHORT:
        return list(range(size))
    return [*range(SHORT), *range(SHORT, size - SHORT, SHORT + 1), *range(size - SHORT, size)]
