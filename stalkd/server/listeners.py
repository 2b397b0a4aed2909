"""Making the sockets to listen on, before anything heavy is imported.

A listening socket lets clients connect at once; they are answered when the rest is there.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Final

BACKLOG: Final = 4096
"""Connections that may wait to be accepted; the kernel cuts it to net.core.somaxconn."""

KEEPALIVE: Final = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""A machine that vanished is known to be gone in two minutes. Systems take two hours: so long, who
waited there would be given jobs, and what was held there without a limit would be held."""

UNIX_PREFIX: Final = "unix:"
"""In front of the path of a unix socket."""

FIRST_INHERITED: Final = 3
"""First descriptor that systemd hands over (sd_listen_fds(3))."""

FAMILIES: Final = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
"""Kinds of socket that can be served."""

LOOPBACK: Final = ("127.", "[::1]")
"""How internet addresses begin that no other machine can reach."""


class CannotListenError(Exception):
    """An address cannot be listened on; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket, its address in words, and the unix path to remove at the end."""

    socket: socket.socket
    address: str
    path: str | None = None
    inode: int = 0
    inherited: bool = False

    @property
    def is_loopback(self) -> bool:
        """Tell whether this is an internet address that only this machine can reach."""
        return self.address.startswith(LOOPBACK)

    def close(self) -> None:
        """Stop listening; remove the unix socket if it is still this one."""
        self.socket.close()
        if self.path is not None and _inode(self.path) == self.inode:
            with suppress(OSError):  # -u may have taken the right; the next start replaces it.
                os.unlink(self.path)


def open_listeners(addresses: Iterable[str], port: int) -> list[Listener]:
    """Listen on each address, or on none of them. Raises CannotListenError."""
    with ExitStack() as undo:
        listeners: list[Listener] = []
        for address in addresses:
            opened = _open(address, port)
            for listener in opened:
                undo.callback(listener.close)
            port = port or _port(opened)
            listeners += opened
        undo.pop_all()
        return listeners


def _open(address: str, port: int) -> list[Listener]:
    if address.startswith(UNIX_PREFIX):
        return [_open_unix(address.removeprefix(UNIX_PREFIX))]
    return _open_inet(address, port)


def _port(opened: list[Listener]) -> int:
    """Return the port that the system has chosen, 0 for a unix socket."""
    name = opened[0].socket.getsockname()
    return name[1] if isinstance(name, tuple) else 0


def inherited_listeners() -> list[Listener]:
    """Return the sockets that systemd has opened for us, none if it has not.

    Raises CannotListenError when one of them is not a listening stream socket.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    text = os.environ.get("LISTEN_FDS", "0")
    if not text.isdecimal():
        raise CannotListenError(f"LISTEN_FDS is {text!r}, not a number; unset it or see systemd(1)")
    count = int(text)
    return [_adopt(fd) for fd in range(FIRST_INHERITED, FIRST_INHERITED + count)]


def _adopt(fd: int) -> Listener:
    try:
        sock = socket.socket(fileno=fd)
        listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise CannotListenError(f"inherited descriptor {fd} is no socket: {error}") from error
    if not listening or sock.type != socket.SOCK_STREAM or sock.family not in FAMILIES:
        raise CannotListenError(
            f"inherited descriptor {fd} is no listening stream socket for TCP or unix; in the"
            " systemd socket unit use ListenStream="
        )
    os.set_inheritable(fd, False)  # noqa: FBT003 - takes no keyword
    if sock.family != socket.AF_UNIX:
        _tune(sock)
    return Listener(sock, describe(sock), inherited=True)


def describe(sock: socket.socket) -> str:
    """Return a socket's own address in words."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        path = name if isinstance(name, str) else name.decode(errors="backslashreplace")
        return f"{UNIX_PREFIX}{path}"
    host = f"[{name[0]}]" if sock.family == socket.AF_INET6 else name[0]
    return f"{host}:{name[1]}"


def _open_inet(host: str, port: int) -> list[Listener]:
    """Listen on every address of a host; with port 0 they all get the same free one.

    A name may have an address that this machine has not, as ``localhost`` has without IPv6: it is
    enough that one of them can be had.
    """
    listeners: list[Listener] = []
    refused: list[CannotListenError] = []
    for family, kind, protocol, _, address in _addresses(host, port):
        target = (address[0], port, *address[2:])
        try:
            listeners.append(_bind_inet(family, kind, protocol, target))
        except CannotListenError as error:
            refused.append(error)
            if not _is_missing(error):
                break
        port = port or _port(listeners) if listeners else port
    if not listeners or not all(map(_is_missing, refused)):
        for listener in listeners:
            listener.close()
        raise refused[0]
    return listeners


def _addresses(host: str, port: int) -> Iterable[tuple[int, int, int, str, tuple[Any, ...]]]:
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        found = socket.getaddrinfo(bare, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "this is no name of a host"
        advice = "; a port belongs behind -p" if ":" in host else ""
        raise CannotListenError(f"cannot find address {host!r}: {reason}{advice}") from error
    return dict.fromkeys(found)


def _is_missing(error: CannotListenError) -> bool:
    """Tell whether it failed because this machine does not have the address."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def _bind_inet(family: int, kind: int, protocol: int, address: tuple[object, ...]) -> Listener:
    where = f"{address[0]} port {address[1]}"
    try:
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotListenError(_advice(where, error)) from error
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    _tune(sock)
    try:
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise CannotListenError(_advice(where, error)) from error
    return Listener(sock, describe(sock))


def _tune(sock: socket.socket) -> None:
    """Set what accepted connections inherit: no delay of replies, notice of dead peers."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):  # Not all systems have all of them.
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _advice(address: str, error: OSError) -> str:
    """Say what happened and what to do about it."""
    advice = {
        errno.EADDRINUSE: "something listens there; stop it, or choose another with -p or -l",
        errno.EACCES: "no permission; use a port above 1023, or start as root with -u USER",
        errno.EAFNOSUPPORT: "this kernel does not know that kind of address; see -l",
        errno.EADDRNOTAVAIL: "this machine has no such address; see -l",
    }.get(error.errno or 0, "see -l and -p")
    return f"cannot listen on {address}: {error.strerror}: {advice}"


def _open_unix(path: str) -> Listener:
    if not path:
        raise CannotListenError("cannot listen on unix: without a path; say -l unix:PATH")
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise CannotListenError(f"cannot listen on {path}: {error.strerror or error}") from error
    return Listener(sock, UNIX_PREFIX + path, path, _inode(path))


def _remove_stale(path: str) -> None:
    """Remove the socket of a server that is gone. Raises CannotListenError if it is not."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = 0
        if not os.path.lexists(path):
            return
    except OSError as error:
        raise CannotListenError(f"cannot listen on {path}: {error.strerror}") from error
    if not stat.S_ISSOCK(mode):
        raise CannotListenError(
            f"cannot listen on {path}: it exists and is no socket; move it away"
        )
    if _answers(path):
        raise CannotListenError(f"cannot listen on {path}: another server listens there; stop it")
    try:
        os.unlink(path)
    except OSError as error:
        raise CannotListenError(
            f"cannot replace the left-over socket {path}: {error.strerror}; remove it"
        ) from error


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0)  # A full backlog must not hang us: it is alive, too.
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except PermissionError as error:
            raise CannotListenError(
                f"cannot listen on {path}: a socket of another user is there; remove it, or choose"
                " another path"
            ) from error
        except OSError:
            return True
    return True


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0
