"""One accepted socket: reading without blocking, sending as much as the peer takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stalkd.protocol.limits import BACKLOG_LIMIT
from stalkd.server.poller import READ, WRITE

if TYPE_CHECKING:
    import socket

    from stalkd.protocol.session import Session

READ_SIZE: Final = 64 * 1024
"""Bytes read at once: hundreds of pipelined commands, and still a short turn for the others."""


class Connection:
    """A socket and its session.

    ``unsent`` is what the peer has not taken yet; while there is any, nothing more is read.
    ``interest`` is what the poller watches the socket for.
    """

    __slots__ = ("fd", "interest", "session", "socket", "unsent")

    def __init__(self, sock: socket.socket, session: Session) -> None:
        """Take over a non-blocking socket."""
        self.socket = sock
        self.fd = sock.fileno()
        self.session = session
        self.unsent: memoryview | None = None
        self.interest = READ

    def send(self) -> bool:
        """Send what there is; tell whether the peer took anything. Raises OSError when it is gone.

        Afterwards ``unsent`` is None exactly if all is sent.
        """
        data = self.session.take_output() if self.unsent is None else self.unsent
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        self.unsent = memoryview(data)[sent:] if sent < len(data) else None
        return sent > 0

    def wanted(self) -> int:
        """Return what the poller should watch this connection for now."""
        if self.unsent is not None:
            return WRITE
        session = self.session
        if session.input_ended or (session.stopped and len(session.backlog) >= BACKLOG_LIMIT):
            return 0
        return READ

    def peer(self) -> str:
        """Name the other end, for the log."""
        try:
            name = self.socket.getpeername()
        except OSError:
            return "gone"
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "unix"
