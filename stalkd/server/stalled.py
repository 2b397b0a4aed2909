"""Peers that do not take their replies, and since when."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from stalkd.broker.limits import NEVER, NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalkd.server.connection import Connection

STALL_S: Final = 60
"""A peer that takes none of its replies for so long is disconnected. Its socket buffers are full
by then, megabytes deep, so it is not slow but hung; its jobs go to others."""


PROGRESS_BYTES: Final = 128 * 1024
"""What a peer must take in STALL_S: 2 kB in a second. Some tens of kilobytes may go from our
system's buffer into the peer's without the peer reading anything, so less is no sign of life."""


class Stalled:
    """The connections that wait to send, each with when its peer last took something.

    The system lets us send again only when a good part of its buffer is free, which may take a
    slow reader minutes. So before one is given up, the system is asked what its peer has taken of
    the bytes that lay in that buffer. ``_since`` is connection -> (since when, bytes there then).
    """

    def __init__(self) -> None:
        """Start with none."""
        self._since: OrderedDict[Connection, tuple[int, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._since)

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._since

    def note(self, connection: Connection, now: int, *, moved: bool) -> None:
        """Note that a peer did not take all; ``moved`` tells whether it took something."""
        if moved or connection not in self._since:
            self.forget(connection)
            self._since[connection] = (now, connection.queued())

    def forget(self, connection: Connection) -> None:
        """Note that a peer has taken all, or is gone."""
        self._since.pop(connection, None)

    def next_deadline(self) -> int:
        """Return when the first of them is to be looked at, in nanoseconds, or NEVER."""
        since, _ = next(iter(self._since.values()), (NEVER, 0))
        return since + STALL_S * NS_PER_S

    def pop_due(self, now: int) -> Iterator[Connection]:
        """Remove and return those that have taken next to nothing for STALL_S."""
        while self.next_deadline() <= now:
            connection, (_, before) = self._since.popitem(last=False)
            queued = connection.queued()
            if before - queued >= PROGRESS_BYTES:
                self._since[connection] = (now, queued)
            else:
                yield connection
