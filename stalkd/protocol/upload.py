"""A put whose body has not arrived completely, and bodies that are dropped as they arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalkd.protocol.session import Session


class Upload:
    """Collects the ``size`` bytes of a body and the CR LF behind it.

    Nothing is reserved for bytes that were announced but have not come, and those that come one
    by one take no more room than those that come together. ``accept`` is called with the session,
    the body and the time, once it is complete.
    """

    __slots__ = ("accept", "content", "missing")

    def __init__(self, accept: Callable[[Session, bytes, int], None], size: int) -> None:
        """Expect ``size`` + 2 bytes."""
        self.accept = accept
        self.missing = size + 2
        self.content = bytearray()

    def take(self, data: bytes, start: int) -> int:
        """Take what is missing from ``data[start:]``; return where that ends."""
        piece = data[start : start + self.missing]
        self.missing -= len(piece)
        self.content += piece
        return start + len(piece)


class Discard:
    """Drops the bytes of a body that is refused, and then there is the reply.

    ``tail`` is the last two bytes so far: a body that is refused for want of room must end in CR
    LF like any other. ``reply`` None means that it is to be found out at the end.
    """

    __slots__ = ("missing", "reply", "tail")

    def __init__(self, missing: int, reply: bytes | None, tail: bytes = b"") -> None:
        """Expect so many bytes, CR LF included; ``tail`` is the end of what has come already."""
        self.missing = missing
        self.reply = reply
        self.tail = tail

    def take(self, data: bytes, start: int) -> int:
        """Drop what is missing from ``data[start:]``; return where that ends."""
        end = min(start + self.missing, len(data))
        self.missing -= end - start
        self.tail = (self.tail + data[max(start, end - 2) : end])[-2:]
        return end
