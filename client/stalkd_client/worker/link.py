"""The supervisor's ends of a slot: it sends jobs, reads results, and can take jobs back."""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from typing import NamedTuple

from stalkd_client.worker import packets
from stalkd_client.worker.messages import Result, Work


class Theirs(NamedTuple):
    """The child's ends, as they are inherited."""

    jobs: socket.socket
    results: socket.socket


class Link:
    """A slot's connection to a child. ``is_dead`` when the child has closed its end.

    The supervisor keeps the child's end for receiving jobs, too: so it can take back those that the
    child has not begun. The system gives each to one of the two.
    """

    def __init__(self) -> None:
        """Make the sockets; the child's ends are for whoever starts it."""
        self._jobs, self._backwards = packets.pair()
        self._results, theirs = packets.pair()
        self.theirs: Theirs | None = Theirs(self._backwards, theirs)
        self.is_dead: bool = False

    def has_started(self) -> None:
        """Know that the child has its ends: from now on its death shows here."""
        if self.theirs is not None:
            self.theirs.results.close()
        self.theirs = None

    def send(self, work: Work) -> bool:
        """Send a job; return False if that cannot be done now.

        There is no room in the socket, or no file to be had for a large one: both will pass.
        """
        try:
            packets.send(self._jobs, tuple(work), socket.MSG_DONTWAIT)
        except OSError:
            return False
        return True

    def take_back(self) -> list[int]:
        """Return the ids of the jobs that the child has not begun; it will not get them."""
        messages, _ = packets.receive_all(self._backwards)
        return [Work(*message).id for message in messages]

    def wait(self, seconds: float | None, wake: int | None) -> list[Result]:
        """Wait for results; return none when the time is over or ``wake`` can be read."""
        poll = select.poll()
        poll.register(self._results, select.POLLIN)
        if wake is not None:
            poll.register(wake, select.POLLIN)
        poll.poll(None if seconds is None else max(0.0, seconds * 1000))
        messages, self.is_dead = packets.receive_all(self._results)
        return [Result(*message) for message in messages]

    def finish(self) -> None:
        """Let the child know that no more jobs will come."""
        with suppress(OSError):
            self._jobs.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Be done with it."""
        for each in (self._jobs, self._backwards, self._results, *(self.theirs or ())):
            each.close()
