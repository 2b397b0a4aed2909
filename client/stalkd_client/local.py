"""Private daemons: ``local:DIR`` is a queue with no server to be set up.

The first that connects starts a daemon, with its socket and its log in the directory; others join
it; it ends when nobody has been connected for a minute, and its jobs are there the next time.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

SOCKET: Final = "stalkd.sock"
LOG: Final = "log"
OUTPUT: Final = "stalkd.out"
LOCK: Final = "start.lock"

IDLE_S: Final = 60
"""How long a private daemon waits for somebody before it ends."""

COMMAND: Final = (
    *(sys.executable, "-P", "-m", "stalkd"),
    *("-l", f"unix:{SOCKET}", "-b", LOG, "--idle-exit", str(IDLE_S)),
)

DETACHED: Final = f'umask 077; "$@" </dev/null >>{OUTPUT} 2>&1 &'
"""The shell leaves the daemon to init: the program that starts it need not wait for its end."""

LONGEST_PATH: Final = 100
"""Bytes of a socket's path that every system takes (Linux: 107, others 103)."""

LOOK_AGAIN_S: Final = 0.01
"""How often a client looks whether the daemon listens: a start takes a quarter of a second."""

RETRY_S: Final = 0.2
"""Pause after a start that failed: the daemon before it may still be closing its log."""

RETRIES: Final = 15
"""... for three seconds: a log is closed in milliseconds, but for a busy disk."""

OUTPUT_LINES: Final = 3
"""Lines of a daemon's last words that an error shows."""

GREETING: Final = b"list-tube-used\r\n"
ANSWER: Final = b"USING default\r\n"


def connect(directory: str, timeout: float) -> socket.socket:
    """Return a connection to the daemon of a directory, which is started if need be.

    ``timeout`` in seconds. Raises OSError.
    """
    deadline = time.monotonic() + timeout
    _make(directory)
    sock = _knock(directory, deadline)
    if sock is not None:
        return sock
    with _alone(directory, deadline):
        return _knock(directory, deadline) or _start(directory, deadline)


def _make(directory: str) -> None:
    """Make a directory if there is none. Raises PermissionError if it is not ours alone.

    Whoever could write there, as below /tmp, could answer in the daemon's place, or lay links to
    our own files for us to write to.
    """
    path = Path(directory)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    if found.st_uid != os.geteuid() or found.st_mode & stat.S_IWOTH:
        raise PermissionError(
            f"{directory} belongs to another user, or everybody may write there: a private daemon"
            " needs a directory of your own"
        )


@contextmanager
def socket_path(directory: str) -> Iterator[str]:
    """Give the path of a directory's socket, in a form that is short enough to be connected to."""
    path = os.path.join(directory, SOCKET)  # noqa: PTH118 - a string is asked for
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield path
        return
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{fd}/{SOCKET}"
    finally:
        os.close(fd)


@contextmanager
def _alone(directory: str, deadline: float) -> Iterator[None]:
    """Let only one process start a daemon at a time. Raises TimeoutError."""
    with Path(directory, LOCK).open("ab") as file:
        while not _locked(file):
            if time.monotonic() > deadline:
                raise TimeoutError(f"another process is still starting the daemon of {directory}")
            time.sleep(LOOK_AGAIN_S)
        yield


def _locked(file: IO[bytes]) -> bool:
    """Lock a file, if nobody else has done it. Closing it ends that, and so does death."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _knock(directory: str, deadline: float) -> socket.socket | None:
    """Return a connection on which the daemon has answered, None if there is no daemon.

    Without the answer it might be one that is just ending. Raises TimeoutError.
    """
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(max(deadline - time.monotonic(), LOOK_AGAIN_S))
        with socket_path(directory) as path:
            sock.connect(path)
        sock.sendall(GREETING)
        if sock.recv(len(ANSWER), socket.MSG_WAITALL) == ANSWER:
            return sock
    except TimeoutError:
        sock.close()
        raise TimeoutError(
            f"the daemon of local:{directory} does not answer: it may still be reading its log;"
            " wait longer with connect_timeout="
        ) from None
    except (FileNotFoundError, ConnectionError):
        pass
    except BaseException:
        sock.close()
        raise
    sock.close()
    return None


def _start(directory: str, deadline: float) -> socket.socket:
    for attempt in range(RETRIES):
        if attempt:
            time.sleep(RETRY_S)
        sock = _try_to_start(directory, deadline)
        if sock is not None:
            return sock
        if time.monotonic() > deadline:
            break
    raise ConnectionError(f"no daemon can be started in {directory}: {_last_words(directory)}")


def _try_to_start(directory: str, deadline: float) -> socket.socket | None:
    """Start a daemon and connect; None if it has ended, which closes the pipe that it inherits."""
    alive, inherited = os.pipe()
    try:
        command = ["/bin/sh", "-c", DETACHED, "sh", *COMMAND]
        try:
            subprocess.run(  # noqa: S603 - nothing in it comes from elsewhere
                command, cwd=directory, pass_fds=[inherited], start_new_session=True, check=True
            )
        finally:
            os.close(inherited)
        while not select.select([alive], [], [], LOOK_AGAIN_S)[0]:
            sock = _knock(directory, deadline)
            if sock is not None:
                return sock
            if time.monotonic() > deadline:
                raise TimeoutError(f"the daemon in {directory} does not begin to listen")
    finally:
        os.close(alive)
    return None


def _last_words(directory: str) -> str:
    """Return what the daemon has said last."""
    try:
        text = Path(directory, OUTPUT).read_text(errors="replace")
    except OSError as error:
        return str(error)
    return " / ".join(text.splitlines()[-OUTPUT_LINES:]) or "it said nothing"
