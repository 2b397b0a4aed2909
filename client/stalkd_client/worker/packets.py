"""Messages between processes of the worker: one packet each, through a pair of sockets.

A socket of packets gives each message to exactly one receiver, whole or not at all. Large ones go
through a file that has no name, whose descriptor travels with the packet.
"""

from __future__ import annotations

import array
import os
import pickle
import socket
import tempfile
from contextlib import suppress
from typing import Any, Final

LARGEST: Final = 96 * 1024
"""Bytes of a packet: two fit into a socket's buffer as Linux has it by default."""

RECEIVED: Final = LARGEST + 64
"""Bytes asked for: a packet and some more, as what does not fit would be cut off."""

BUFFER: Final = 1 << 20
"""Bytes wished for in a socket: small packets are counted with ten times their size."""

_FD: Final = array.array("i", [0]).itemsize
_IN_FILE: Final = b"file"


def are_supported() -> bool:
    """Tell whether this system has such sockets; macOS has not."""
    try:
        ends = pair()
    except OSError:
        return False
    for end in ends:
        end.close()
    return True


def pair() -> tuple[socket.socket, socket.socket]:
    """Return two ends that talk to each other."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        with suppress(OSError):  # A small buffer works, too.
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    return ends


def send(sock: socket.socket, message: tuple[Any, ...], flags: int = 0) -> None:
    """Send a message. Raises BlockingIOError if ``flags`` say not to wait; OSError."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    if len(data) <= LARGEST:
        sock.send(data, flags)
        return
    with _nameless() as file:
        file.write(data)
        file.flush()
        socket.send_fds(sock, [_IN_FILE], [file.fileno()], flags)


def _nameless() -> Any:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("job", os.MFD_CLOEXEC), "w+b")
    return tempfile.TemporaryFile()


def receive(sock: socket.socket, flags: int = 0) -> tuple[Any, ...] | None:
    """Return the next message; None at the end. Raises BlockingIOError, OSError."""
    data, attached, _, _ = sock.recvmsg(RECEIVED, socket.CMSG_LEN(_FD), flags)
    if not data:
        return None
    if attached:
        data = _contents(attached[0][2])
    message: tuple[Any, ...] = pickle.loads(data)  # noqa: S301 - from ourselves
    return message


def _contents(descriptor: bytes) -> bytes:
    (fd,) = array.array("i", descriptor[:_FD])
    with os.fdopen(fd, "rb") as file:
        file.seek(0)
        return file.read()


def receive_all(sock: socket.socket) -> tuple[list[tuple[Any, ...]], bool]:
    """Return the messages that are there, and whether the other end is closed."""
    found: list[tuple[Any, ...]] = []
    while True:
        try:
            message = receive(sock, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return found, False
        except ConnectionError:
            return found, True
        if message is None:
            return found, True
        found.append(message)
