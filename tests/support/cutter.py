"""A relay between a client and a server that breaks at one chosen step, before or behind it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from support.daemon import HOST

PATIENCE_S = 10.0


class Cutter:
    """Counts what clients send; at the ``step``-th sending it acts, and cuts that connection.

    ``behind``: the server has done what was sent, and its answer is thrown away.
    """

    def __init__(self, port: int, step: int, act: Callable[[], None], *, behind: bool) -> None:
        self.reached = threading.Event()
        self._target = (HOST, port)
        self._step = step
        self._act = act
        self._behind = behind
        self._count = 0
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server((HOST, 0))
        self.url: str = f"stalkd://{HOST}:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._open += [client, server]
                for way in (self._to_server, self._to_client):
                    threading.Thread(target=way, args=(client, server), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 20):
                with self._lock:
                    self._count += 1
                    is_it = self._count == self._step
                if is_it and not self._behind:
                    self._cut(client, server)
                    return
                if is_it:
                    self.reached.set()  # From now on the other direction is silent.
                server.sendall(data)
        _hang_up(client, server)

    def _to_client(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 20):
                if self._behind and self.reached.is_set() and self._count == self._step:
                    self._cut(client, server)
                    return
                client.sendall(data)
        _hang_up(client, server)

    def _cut(self, client: socket.socket, server: socket.socket) -> None:
        self._act()
        _hang_up(client, server)
        self.reached.set()

    def close(self) -> None:
        """End all connections."""
        self._listener.close()
        for each in self._open:
            each.close()


def _hang_up(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def cutter(port: int, step: int, act: Callable[[], None], *, behind: bool) -> Iterator[Cutter]:
    made = Cutter(port, step, act, behind=behind)
    try:
        yield made
    finally:
        made.close()
