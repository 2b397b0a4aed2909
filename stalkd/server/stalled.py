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

    While nobody is served, nobody can take anything: that time does not count. ``_paused`` is how
    much of it there was; the times in ``_since`` are as if there had been none.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._since: OrderedDict[Connection, tuple[int, int]] = OrderedDict()
        self._paused_at: int | None = None
        self._paused = 0

    def __len__(self) -> int:
        return len(self._since)

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._since

    def note(self, connection: Connection, now: int, *, moved: bool) -> None:
        """Note that a peer did not take all; ``moved`` tells whether it took something."""
        if moved or connection not in self._since:
            self.forget(connection)
            self._since[connection] = (now - self._paused, connection.queued())

    def forget(self, connection: Connection) -> None:
        """Note that a peer has taken all, or is gone."""
        self._since.pop(connection, None)

    def next_deadline(self) -> int:
        """Return when the first of them is to be looked at, in nanoseconds, or NEVER."""
        if self._paused_at is not None:
            return NEVER
        since, _ = next(iter(self._since.values()), (NEVER, 0))
        return since + self._paused + STALL_S * NS_PER_S

    def pause(self, now: int) -> None:
        """Note that nobody is served from now on."""
        if self._paused_at is None:
            self._paused_at = now

    def go_on(self, now: int) -> None:
        """Note that all are served again."""
        if self._paused_at is not None:
            self._paused += now - self._paused_at
            self._paused_at = None

    def pop_due(self, now: int) -> Iterator[Connection]:
        """Remove and return those that have taken next to nothing for STALL_S."""
        while self.next_deadline() <= now:
            connection, (_, before) = self._since.popitem(last=False)
            queued = connection.queued()
            if before - queued >= PROGRESS_BYTES:
                self._since[connection] = (now - self._paused, queued)
            else:
                yield connection
