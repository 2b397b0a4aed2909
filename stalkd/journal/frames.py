"""How records stand in a segment: a header, then one frame for each record, then zeros or nothing.

A frame is ``tag, length, crc`` and the record. The tag is the segment's own; a search for it finds
the frames behind a damaged one. The checksum starts from the tag plus the frame's offset, so a
block that turns up at a wrong place, or in a wrong file, is no frame there.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple
from zlib import crc32

from stalkd.journal.limits import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC: Final = b"stalkwal"
MASK: Final = 0xFFFFFFFF
START: Final = (0, 0)
"""Where the first segment of a log goes on from: nowhere."""

_FRAME = Struct("<III")
_HEADER = Struct("<8sIQQQQI")
_BASICS = Struct("<8sI")
_TAG = Struct("<QQ")

FRAME_SIZE: Final = _FRAME.size
HEADER_SIZE: Final = _HEADER.size

pack_frame: Final = _FRAME.pack
"""(tag, length, crc) to bytes; the checksum is ``crc32(record, (tag + offset) & MASK)``."""

Position = tuple[int, int]
"""(segment's number, offset in it)"""


class Header(NamedTuple):
    """A segment's header. ``log_id`` is the same in all of one log.

    ``previous`` is where the log stops that this segment goes on from: what the older segment has
    behind it, and segments between the two, are not part of the log.
    """

    number: int
    log_id: int
    previous: Position


class HeaderError(Exception):
    """Not a header of a segment that this version can read; the text says why."""


class ForeignError(HeaderError):
    """Certainly a file of something else, or of a later version."""


def pack_header(header: Header) -> bytes:
    """Return a segment's first HEADER_SIZE bytes."""
    fields = (MAGIC, FORMAT_VERSION, header.number, header.log_id, *header.previous)
    return _HEADER.pack(*fields, crc32(_HEADER.pack(*fields, 0)[:-4]))


def unpack_header(data: bytes) -> Header:
    """Return a segment's header. Raises HeaderError."""
    if len(data) < HEADER_SIZE:
        raise HeaderError("it is too short for a header")
    magic, version = _BASICS.unpack_from(data)
    if magic == MAGIC and version > FORMAT_VERSION and _header_is_intact(data):
        raise ForeignError(f"it was written by a newer stalkd, in format {version}")
    if magic != MAGIC or version != FORMAT_VERSION or not _header_is_intact(data):
        raise HeaderError("its header is damaged, or it is no segment of a log")
    _, _, number, log_id, previous, offset, _ = _HEADER.unpack_from(data)
    return Header(number, log_id, (previous, offset))


def _header_is_intact(data: bytes) -> bool:
    return crc32(data[: HEADER_SIZE - 4]) == int.from_bytes(
        data[HEADER_SIZE - 4 : HEADER_SIZE], "little"
    )


def tag_of(log_id: int, number: int) -> int:
    """Return the tag of a segment's frames."""
    return crc32(_TAG.pack(log_id, number)) or 1  # Zeros must never look like a tag.


def frame(payload: bytes, tag: int, offset: int) -> bytes:
    """Return a record's frame for one place in a segment."""
    return pack_frame(tag, len(payload), crc32(payload, (tag + offset) & MASK)) + payload


def read_frames(data: bytes, tag: int, start: int, limit: int) -> Iterator[tuple[int, bytes]]:
    """Give (offset behind the frame, record) for the frames from ``start`` on, while intact."""
    unpack = _FRAME.unpack_from
    last = limit - FRAME_SIZE
    while start <= last:
        found, length, crc = unpack(data, start)
        begin = start + FRAME_SIZE
        end = begin + length
        if found != tag or end > limit or not length:
            return
        payload = data[begin:end]
        if crc32(payload, (tag + start) & MASK) != crc:
            return
        start = end
        yield end, payload


def find_frames(data: bytes, tag: int, start: int, limit: int) -> Iterator[tuple[int, bytes]]:
    """Give (offset of the frame, record) for all intact frames from ``start`` on.

    Whatever lies between them is passed over.
    """
    needle = tag.to_bytes(4, "little")
    while True:
        start = data.find(needle, start, limit)
        if start < 0:
            return
        for end, payload in read_frames(data, tag, start, limit):
            yield start, payload
            start = end
        start += 1


def is_blank(data: bytes, start: int, limit: int) -> bool:
    """Tell whether there is nothing but zeros: space that was reserved and not used."""
    return data.count(0, start, limit) == limit - start
