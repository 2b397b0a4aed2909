"""A blocking socket that gives lines and blocks of bytes."""

from __future__ import annotations

import os
import select
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from stalkd_client.keepalive import notice_dead_peer

if TYPE_CHECKING:
    from stalkd_client.exchange import Exchange

CHUNK: Final = 64 * 1024
"""Bytes read at once: hundreds of replies."""

CHUNKS: Final = (CHUNK,)

SHORTEST_S: Final = 0.001
"""No limit would be what the system reads from a time that is rounded to zero."""

LONGEST_LINE: Final = 64 * 1024
"""Bytes without an end of line at which what is there is no Beanstalk server."""


class Buffer:
    """What has been received and not been taken."""

    def __init__(self) -> None:
        self._data = b""
        self._start = 0

    def add(self, data: bytes) -> None:
        """Add what was received. Raises ConnectionError at the end of input."""
        if not data:
            raise ConnectionResetError("the server has closed the connection")
        rest = self._data[self._start :]
        self._data = rest + data if rest else data
        self._start = 0

    def take(self, size: int | None) -> bytes | None:
        """Return so many bytes, or a line without its end, if size is None; None: not yet there."""
        start = self._start
        if size is None:
            end = self._data.find(b"\r\n", start)
            if end < 0:
                self._check_line()
                return None
            self._start = end + 2
            return self._data[start:end]
        if len(self._data) - start < size:
            return None
        self._start = start + size
        return self._data[start : self._start]

    def take_lines(self, count: int) -> list[bytes]:
        """Return the lines that are there, so many at most."""
        *lines, rest = self._data[self._start :].split(b"\r\n", count)
        self._data, self._start = rest, 0
        if not lines:
            self._check_line()
        return lines

    def _check_line(self) -> None:
        if len(self._data) - self._start > LONGEST_LINE:
            raise ConnectionError("this is no Beanstalk server: its line does not end")


class Stream:
    """A connection. All methods raise OSError.

    ``is_waiting`` tells, when something else is raised, that it was while nothing was received: all
    bytes are still to come. Anywhere else some may have been lost with the exception.
    """

    def __init__(self, sock: socket.socket, patience: float) -> None:
        """Use a connected socket, where nothing may take longer unless that is said."""
        self._socket = sock
        self._pid = os.getpid()
        self._buffer = Buffer()
        self._received: list[bytes] = []
        self._limit = max(patience, SHORTEST_S)
        self._patience: float | None = None
        self.is_waiting: bool = False
        _limit_waits(sock, self._limit)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            notice_dead_peer(sock)

    def send(self, data: bytes, patience: float | None) -> None:
        """Send everything; an answer may take so many seconds, at least those of the stream."""
        self._patience = patience
        try:
            self._socket.sendall(data)
        except BlockingIOError:
            raise TimeoutError(f"the server has read nothing in {self._limit} s") from None

    def exchange(self, asked: Exchange) -> None:
        """Send commands, unless that was done, and read the replies that are not read yet."""
        if not asked.was_sent:
            self.send(asked.data, asked.patience)
            asked.expect_replies()
        self._patience = asked.patience
        for reply in asked.replies[asked.done :]:
            while not reply.take(self.receive(reply.wanted)):
                pass
            asked.done += 1

    def receive(self, size: int | None) -> bytes:
        """Return so many bytes; None: a line without its end."""
        while (taken := self._buffer.take(size)) is None:
            self._fill()
        return taken

    def receive_lines(self, count: int) -> list[bytes]:
        """Return so many lines, without their ends."""
        lines = self._buffer.take_lines(count)
        while len(lines) < count:
            self._fill()
            lines += self._buffer.take_lines(count - len(lines))
        return lines

    def _fill(self) -> None:
        """Receive something.

        A signal's handler may raise at any time. What was received is not lost by that: no Python
        code runs between the system's answer and the list's growth.
        """
        received, waited = self._received, 0.0
        while not received:
            self.is_waiting = True
            try:
                received.extend(map(self._socket.recv, CHUNKS))
            except BlockingIOError:
                waited += self._limit
                self._wait_on(waited)
        self.is_waiting = False
        self._buffer.add(received.pop())

    def _wait_on(self, waited: float) -> None:
        """Go on waiting, after the system's limit, if this answer may take longer."""
        if self._patience is not None:
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            if not poll.poll(max(0.0, self._patience - waited) * 1000):
                raise TimeoutError(f"no answer in {self._patience} s")

    def close(self) -> None:
        """Hang up, even if a forked process has the socket, too; there, only its copy goes."""
        if os.getpid() == self._pid:
            with suppress(OSError):  # The server may have hung up first.
                self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def shut_down(self) -> None:
        """Let whoever waits for the other side see the end of input; for other threads."""
        with suppress(OSError):  # It is closed, or was never connected for good.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _limit_waits(sock: socket.socket, seconds: float) -> None:
    """Let the system end what takes too long: asking it before each wait would cost more."""
    whole, rest = divmod(seconds, 1)
    limit = struct.pack("ll", int(whole), int(rest * 1e6))
    sock.settimeout(None)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
