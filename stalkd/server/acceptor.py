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

NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""What accept says when the system has no room."""


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
                if error.errno in NO_ROOM:
                    self._complaints.about("cannot_accept", reason=error.strerror, **self._load())
                    return False
                continue  # The peer has gone between knocking and entering.
            self._admit(sock, address)
        return True

    def _admit(self, sock: socket.socket, address: object) -> None:
        if len(self._reactor) >= self._limit:
            hint = "see --max-connections and ulimit -n"
            self._complaints.about("connection_refused", hint=hint, **self._load())
            sock.close()
        else:
            self._reactor.add(sock, address)

    def _load(self) -> dict[str, object]:
        return {"connections": len(self._reactor), "limit": self._limit}
