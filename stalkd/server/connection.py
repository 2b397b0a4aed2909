"""One accepted socket: reading without blocking, sending as much as the peer takes."""

from __future__ import annotations

import sys
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import TYPE_CHECKING, Final

from stalkd.protocol.limits import BACKLOG_LIMIT
from stalkd.server.poller import HANGUP, READ, WRITE

if TYPE_CHECKING:
    import socket

    from stalkd.protocol.session import Session

READ_SIZE: Final = 64 * 1024
"""Bytes read at once: hundreds of pipelined commands, and still a short turn for the others."""


class Connection:
    """A socket and its session.

    ``unsent`` is what the peer has not taken yet; while there is any, nothing more is read.
    ``interest`` is what the poller watches the socket for. ``held`` says that there are replies
    which wait for the log.
    """

    __slots__ = ("address", "fd", "held", "interest", "session", "socket", "unsent")

    def __init__(self, sock: socket.socket, address: object, session: Session) -> None:
        """Take over a non-blocking socket; ``address`` is what accept said of the peer."""
        self.socket = sock
        self.address = address
        self.fd = sock.fileno()
        self.session = session
        self.unsent: memoryview | None = None
        self.held = False
        self.interest = READ

    def send(self) -> bool:
        """Send what there is; tell whether the peer took anything. Raises OSError when it is gone.

        Afterwards ``unsent`` is None exactly if all is sent.
        """
        data = self.unsent or self.session.take_output()
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        self.unsent = memoryview(data)[sent:] if sent < len(data) else None
        return sent > 0

    def let_go(self, data: bytes) -> None:
        """Have data sent that was held, before anything that has come since."""
        self.held = False
        self.unsent = memoryview(bytes(self.unsent) + data if self.unsent else data)

    def has_replies(self) -> bool:
        """Tell whether the peer has not been sent everything yet."""
        return self.unsent is not None or self.held or bool(self.session.output)

    def wanted(self) -> int:
        """Return what the poller should watch this connection for now."""
        if self.unsent is not None:
            return WRITE
        session = self.session
        if session.input_ended:
            return 0
        if len(session.backlog) >= BACKLOG_LIMIT:
            return 0 if session.impatient else HANGUP
        return READ

    def peer(self) -> str:
        """Name the other end, for the log."""
        if not isinstance(self.address, tuple):
            return "unix"
        host, port, *ipv6 = self.address
        return f"[{host}]:{port}" if ipv6 else f"{host}:{port}"

    def queued(self) -> int:
        """Return how many bytes the kernel holds that the peer has not taken; 0 if it is silent."""
        try:
            return int.from_bytes(ioctl(self.fd, TIOCOUTQ, bytes(4)), sys.byteorder)
        except OSError:
            return 0
