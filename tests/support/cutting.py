"""A connection that breaks at the worst moment: the server has done a command, and says so."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def cut_at(server: tuple[str, int], reply: bytes) -> Iterator[str]:
    """Give the URL of a way to a server that breaks once, instead of bringing such a reply."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=[listener, server, reply])
        thread.start()
        try:
            yield f"stalkd://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def _serve(listener: socket.socket, server: tuple[str, int], reply: bytes) -> None:
    """Serve one connection after the other, until the listener is closed."""
    is_cut = False
    while True:
        try:
            near = listener.accept()[0]
        except OSError:
            return
        with near, socket.create_connection(server) as far:
            up = threading.Thread(target=_carry, args=[near, far])
            up.start()
            is_cut |= _carry(far, near, None if is_cut else reply)
            _hang_up(near, far)
            up.join(10)


def _carry(source: socket.socket, target: socket.socket, reply: bytes | None = None) -> bool:
    """Carry what comes; tell whether the reply came, which is not carried any more."""
    with suppress(OSError):
        while data := source.recv(65_536):
            if reply is not None and data.startswith(reply):
                return True
            target.sendall(data)
    _hang_up(target)
    return False


def _hang_up(*ends: socket.socket) -> None:
    for each in ends:
        with suppress(OSError):  # The other side may have gone first.
            each.shutdown(socket.SHUT_RDWR)
