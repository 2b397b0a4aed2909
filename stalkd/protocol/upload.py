"""A put whose body has not arrived completely, and bodies that are dropped as they arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stalkd.broker.job import Job


class Upload:
    """Collects the ``size`` bytes of a body and the CR LF behind it.

    Nothing is reserved for bytes that were announced but have not come, and those that come one
    by one take no more room than those that come together.
    """

    __slots__ = ("content", "job", "missing")

    def __init__(self, job: Job, size: int) -> None:
        """Expect ``size`` + 2 bytes for ``job``, whose body is still empty."""
        self.job = job
        self.missing = size + 2
        self.content = bytearray()

    def take(self, data: bytes, start: int) -> int:
        """Take what is missing from ``data[start:]``; return where that ends."""
        piece = data[start : start + self.missing]
        self.missing -= len(piece)
        self.content += piece
        return start + len(piece)


class Discard:
    """Drops the bytes of a body that is refused, counting only, and then gives the reply."""

    __slots__ = ("missing", "reply")

    def __init__(self, size: int, reply: bytes) -> None:
        """Expect ``size`` + 2 bytes."""
        self.missing = size + 2
        self.reply = reply

    def take(self, data: bytes, start: int) -> int:
        """Drop what is missing from ``data[start:]``; return where that ends."""
        dropped = min(self.missing, len(data) - start)
        self.missing -= dropped
        return start + dropped
