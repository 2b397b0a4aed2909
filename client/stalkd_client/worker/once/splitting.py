"""From chunks of bytes to numbered lines, none of which takes more memory than it may. No I/O."""

from __future__ import annotations

from typing import Final, NamedTuple

from stalkd_client.worker.slots.records import SOURCE_BYTES

LONGEST_LINE: Final = 16 << 20
"""Bytes of a line without its newline: no message is that large, and a file without any newline
must not fill the memory."""


class Line(NamedTuple):
    """A line without its newline. ``size`` is what it takes in the input, with the newline.

    Of one that is longer than it may be, ``body`` has the beginning only.
    """

    number: int
    body: bytes
    size: int
    is_too_long: bool = False


class Splitter:
    """Is fed with chunks, and gives lines, numbered from 1."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._count = 0
        self._longest = longest
        self._begun = bytearray()
        self._length = 0  # Of the line that has begun, also where it is too long to be kept.

    def feed(self, data: bytes) -> list[Line]:
        """Return the lines that end in this chunk."""
        *ended, rest = data.split(b"\n")
        lines = [self._line(piece, 1) for piece in ended]
        self._keep(rest)
        return lines

    def end(self) -> list[Line]:
        """Return the last line, if it has no newline."""
        return [self._line(b"", 0)] if self._length else []

    def _line(self, last: bytes, newline: int) -> Line:
        self._count += 1
        length = self._length + len(last)
        if not self._length and length <= self._longest:
            return Line(self._count, last, length + newline)
        self._keep(last)
        line = Line(self._count, bytes(self._begun), length + newline, length > self._longest)
        self._begun.clear()
        self._length = 0
        return line

    def _keep(self, piece: bytes) -> None:
        self._length += len(piece)
        self._begun += piece
        if self._length > self._longest:
            del self._begun[SOURCE_BYTES:]
