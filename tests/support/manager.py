"""A service manager for tests: it listens where $NOTIFY_SOCKET says, as systemd does."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

PATIENCE_S = 10.0


class Manager:
    """Hears messages; each is a list of assignments."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def next(self) -> list[str]:
        """The next message."""
        return self._socket.recv(65536).decode().split("\n")

    def wait_for(self, assignment: str) -> list[list[str]]:
        """All messages up to the one with an assignment that begins so."""
        heard: list[list[str]] = []
        deadline = time.monotonic() + PATIENCE_S
        while not heard or not any(each.startswith(assignment) for each in heard[-1]):
            assert time.monotonic() < deadline, heard
            try:
                heard.append(self.next())
            except TimeoutError:
                raise AssertionError(f"waited for {assignment!r}, heard {heard}") from None
        return heard

    def rest(self) -> list[list[str]]:
        """What has been said already, to the last word."""
        heard = []
        self._socket.settimeout(0)
        try:
            while True:
                heard.append(self.next())
        except BlockingIOError:
            return heard
        finally:
            self._socket.settimeout(PATIENCE_S)

    def expect_silence(self, seconds: float) -> None:
        """Nothing is said for so long: a real wait, keep it short."""
        self._socket.settimeout(seconds)
        try:
            heard = self.next()
        except TimeoutError:
            return
        finally:
            self._socket.settimeout(PATIENCE_S)
        raise AssertionError(f"expected silence, heard {heard}")

    def environment(self, **more: str) -> list[str]:
        """The beginning of a command that has the variables, as systemd sets them."""
        given = {"NOTIFY_SOCKET": self.address, **more}
        return ["env", *(f"{name}={value}" for name, value in given.items())]


@contextmanager
def service_manager() -> Iterator[Manager]:
    """A manager with a path of its own; those of pytest may be too long for a socket."""
    with (
        tempfile.TemporaryDirectory(prefix="stalkd-") as directory,
        Manager(str(Path(directory) / "notify")) as manager,
    ):
        yield manager
