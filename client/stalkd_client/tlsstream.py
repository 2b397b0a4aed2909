"""An encrypted connection: its socket cannot be waited on like a plain one."""

from __future__ import annotations

import select
import ssl
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from stalkd_client.stream import CHUNK, Stream

T = TypeVar("T")


class TlsStream(Stream):
    """A connection that is encrypted.

    What has been received may be of no use yet, and sending may need something to be received: so
    nothing blocks but a poll, in which nothing can get lost.
    """

    is_waiting: bool

    def __init__(self, sock: ssl.SSLSocket, patience: float) -> None:
        """Use a connected socket."""
        super().__init__(sock, patience)
        sock.settimeout(0)

    def send(self, data: bytes, patience: float | None) -> None:
        """Send everything; an answer may take so many seconds."""
        self._patience = patience
        rest = memoryview(data)
        while rest:
            sent = self._when_possible(partial(self._socket.send, rest))
            rest = rest[sent:]

    def _fill(self) -> None:
        self._when_possible(lambda: self._buffer.add(self._socket.recv(CHUNK)))

    def _when_possible(self, act: Callable[[], T]) -> T:
        while True:
            self.is_waiting = False  # An interrupted wait has left it true.
            try:
                return act()
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT)
            except ssl.SSLError as error:  # The other side may refuse us only now.
                raise ConnectionError(f"the encrypted connection is broken: {error}") from error

    def _wait(self, event: int) -> None:
        poll = select.poll()
        poll.register(self._socket, event)
        self.is_waiting = True
        found = poll.poll(None if self._patience is None else self._patience * 1000)
        self.is_waiting = False
        if not found:
            raise TimeoutError(f"no answer in {self._patience} s")
