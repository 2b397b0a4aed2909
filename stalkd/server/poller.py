"""Which of many sockets are ready: epoll where there is one, else what ``selectors`` offers.

The set has a descriptor of its own, so that one trio task can wait for all of it.
"""

from __future__ import annotations

import select
import selectors
from typing import Final, Protocol, cast

READ: Final = getattr(select, "EPOLLIN", 1)
WRITE: Final = getattr(select, "EPOLLOUT", 4)
HANGUP: Final = getattr(select, "EPOLLRDHUP", 0)
"""The peer sends nothing more, though what it sent may not be read yet. Not known everywhere."""

GONE: Final = getattr(select, "EPOLLERR", 8) | getattr(select, "EPOLLHUP", 16)
"""The connection is broken or closed in both directions; reported whether asked for or not."""


class Poller(Protocol):
    """What is used of an epoll object."""

    def register(self, fd: int, eventmask: int, /) -> None:
        """Watch a descriptor."""

    def modify(self, fd: int, eventmask: int, /) -> None:
        """Watch it for something else."""

    def unregister(self, fd: int, /) -> None:
        """Watch it no more."""

    def poll(self, timeout: float, maxevents: int, /) -> list[tuple[int, int]]:
        """Return (descriptor, events), waiting ``timeout`` seconds at most."""

    def fileno(self) -> int:
        """Return the set's own descriptor."""

    def close(self) -> None:
        """Forget everything."""


class HasFileno(Protocol):
    """What epoll, kqueue and devpoll selectors have beside the common interface."""

    def fileno(self) -> int:
        """Return the descriptor of the set."""


class SelectorPoller:
    """The same through ``selectors``, for systems without epoll (kqueue)."""

    def __init__(self) -> None:
        """Watch nothing."""
        self._selector = selectors.DefaultSelector()

    def register(self, fd: int, eventmask: int, /) -> None:
        """Watch a descriptor; for nothing, if the mask has neither READ nor WRITE."""
        events = _to_selector(eventmask)
        if events:
            self._selector.register(fd, events)

    def modify(self, fd: int, eventmask: int, /) -> None:
        """Watch it for something else."""
        self.unregister(fd)
        self.register(fd, eventmask)

    def unregister(self, fd: int, /) -> None:
        """Watch it no more."""
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    def poll(self, timeout: float, maxevents: int, /) -> list[tuple[int, int]]:
        """Return (descriptor, events), waiting ``timeout`` seconds at most."""
        ready = self._selector.select(timeout)[:maxevents]
        return [(key.fd, _from_selector(mask)) for key, mask in ready]

    def fileno(self) -> int:
        """Return the set's own descriptor."""
        return cast("HasFileno", self._selector).fileno()

    def close(self) -> None:
        """Forget everything."""
        self._selector.close()


def _to_selector(mask: int) -> int:
    read = selectors.EVENT_READ if mask & READ else 0
    return read | (selectors.EVENT_WRITE if mask & WRITE else 0)


def _from_selector(mask: int) -> int:
    read: int = READ if mask & selectors.EVENT_READ else 0
    return read | (WRITE if mask & selectors.EVENT_WRITE else 0)


def open_poller() -> Poller:
    """Return the best poller of this system."""
    return select.epoll() if hasattr(select, "epoll") else SelectorPoller()
