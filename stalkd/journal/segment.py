"""One file of the log, as it is kept track of while the daemon runs."""

from __future__ import annotations

from array import array
from typing import Final

PREFIX: Final = "wal."
"""Segments are called wal.0000000001 and so on."""

DIGITS: Final = 10

RESERVE_NAME: Final = "reserve"
"""The file that only holds space, for times of a full disk."""


def segment_name(number: int) -> str:
    """Return the name of a segment's file."""
    return f"{PREFIX}{number:0{DIGITS}}"


def segment_number(name: str) -> int | None:
    """Return the number of the segment that a file's name tells, None if it is no segment's."""
    digits = name.removeprefix(PREFIX)
    if name == digits or not digits.isascii() or not digits.isdecimal():
        return None
    return int(digits) if name == segment_name(int(digits)) else None


class Segment:
    """A segment that holds records which are still needed, or may be.

    ``size`` is its length in bytes. ``live`` is how many of them are the latest whole records of
    living jobs, or of pauses and policies; all others are superseded. ``ids`` are the jobs whose
    records were written here, ``tubes`` the names of tubes likewise: those still here are the ones
    to copy before the segment can go.
    """

    __slots__ = ("ids", "live", "number", "size", "tubes")

    def __init__(self, number: int, size: int = 0) -> None:
        """Start without records."""
        self.number = number
        self.size = size
        self.live = 0
        self.ids = array("Q")
        self.tubes: list[str] = []

    def __repr__(self) -> str:
        return f"<Segment {self.number}: {self.live} of {self.size} bytes live>"
