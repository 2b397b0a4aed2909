"""A put whose body has not arrived completely, and bodies that are dropped as they arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stalkd.broker.job import Job


class Upload:
    """Collects the ``size`` bytes of a body and the CR LF behind it, in the pieces they come in.

    Nothing is reserved for bytes that were announced but have not come.
    """

    __slots__ = ("arrived", "job", "missing", "pieces")

    def __init__(self, job: Job, size: int) -> None:
        """Expect ``size`` + 2 bytes for ``job``, whose body is still empty."""
        self.job = job
        self.missing = size + 2
        self.arrived = 0
        self.pieces: list[bytes] = []

    def take(self, data: bytes, start: int) -> int:
        """Take what is missing from ``data[start:]``; return where that ends."""
        piece = data[start : start + self.missing]
        self.missing -= len(piece)
        self.arrived += len(piece)
        self.pieces.append(piece)
        return start + len(piece)

    def content(self) -> bytes:
        """Return all ``size`` + 2 bytes."""
        return b"".join(self.pieces)


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
