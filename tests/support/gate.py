"""A way to a server on which somebody watches what goes by, and may stop it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

HOST = "127.0.0.1"
CHUNK = 65536

Watch = Callable[[bytes], bool]
"""Is told what a client sends; True lets it pass. The connection is cut else."""


class Gate:
    """Passes connections on to a server; ``watch`` can be set at any time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server((HOST, 0))
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self.watch: Watch = lambda _: True
        self.url = f"stalkd://{HOST}:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    def close(self) -> None:
        """Cut all connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        _cut(*self._sockets)
        for thread in self._threads:
            thread.join(10)
        for sock in self._sockets:
            sock.close()

    def _start(self, work: Callable[..., None], *args: socket.socket) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                far = socket.create_connection((HOST, self._port))
                self._sockets += [near, far]
                self._start(self._pass_on, near, far)
                self._start(self._pass_back, far, near)

    def _pass_on(self, near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError):
            while (data := near.recv(CHUNK)) and self.watch(data):
                far.sendall(data)
        _cut(near, far)

    def _pass_back(self, far: socket.socket, near: socket.socket) -> None:
        with suppress(OSError):
            while data := far.recv(CHUNK):
                near.sendall(data)
        _cut(near, far)


def _cut(*socks: socket.socket) -> None:
    for sock in socks:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


@contextmanager
def gate_to(url: str) -> Iterator[Gate]:
    """Give a gate to the server at an address."""
    gate = Gate(int(url.rpartition(":")[2]))
    try:
        yield gate
    finally:
        gate.close()
