"""Asking whether the other machine is still there, while nobody says anything."""

from __future__ import annotations

import socket
from typing import Final

OPTIONS: Final = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""The first question after a minute of silence, and two minutes until a machine counts as gone.
Systems ask after two hours: so long a program would wait for jobs from a server that is no more."""


def notice_dead_peer(sock: socket.socket) -> None:
    """Let the system ask the peer of a TCP connection whether it is there, while nothing comes."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in OPTIONS.items():
        if hasattr(socket, name):  # Not all systems have all of them.
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
