"""Accepting connections, also when there is no room for them."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Final

import trio

from stalkd.server.logs import Complaints

if TYPE_CHECKING:
    import socket

    from stalkd.server.reactor import Reactor

ACCEPTS_PER_TURN: Final = 64
"""Connections accepted before those that are served have another turn."""

BACK_OFF_S: Final = 0.1
"""How long to wait when the system has no descriptor or memory for another connection. The
listening socket stays readable meanwhile: without the wait, accepting would spin (trio's own
accept loop waits as long)."""

GONE: Final = frozenset(
    {
        *(errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.EINTR),
        *(errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH),
        *(errno.ENOPROTOOPT, errno.EOPNOTSUPP),
    }
)
"""What accept says of a peer that has gone between knocking and entering, or that a firewall keeps
out (accept(2)). Anything else is trouble of ours: no descriptors, no memory, a broken listener."""


class Acceptor:
    """Accepts from one listening socket for a reactor, up to ``limit`` connections in all."""

    def __init__(
        self, listener: socket.socket, reactor: Reactor, limit: int, log: logging.Logger
    ) -> None:
        """Take over a listening socket."""
        listener.settimeout(0)
        self._listener = listener
        self._reactor = reactor
        self._limit = limit
        self._complaints = Complaints(log, trio.current_time)

    async def run(self) -> None:
        """Accept until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._listener)
            if not self._accept_some():
                await trio.sleep(BACK_OFF_S)

    def _accept_some(self) -> bool:
        """Accept those that are there; tell whether the system had room."""
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, address = self._listener.accept()
            except BlockingIOError:
                return True
            except OSError as error:
                if error.errno not in GONE:
                    self._complain(error)
                    return False
            else:
                if not self._admit(sock, address):
                    return False
        return True

    def _admit(self, sock: socket.socket, address: object) -> bool:
        """Let a connection in, or refuse it; tell whether the system had room."""
        connections = len(self._reactor)
        if connections >= self._limit:
            hint = "see --max-connections and ulimit -n"
            self._complaints.about(
                "connection_refused", hint=hint, connections=connections, limit=self._limit
            )
            sock.close()
            return True
        try:
            self._reactor.add(sock, address)
        except OSError as error:
            self._complain(error)
            sock.close()
            return False
        return True

    def _complain(self, error: OSError) -> None:
        connections = len(self._reactor)
        self._complaints.about(
            "cannot_accept", reason=error.strerror, connections=connections, limit=self._limit
        )
