"""A private server for tests: the fixture ``stalkd_server`` is made of it.

with private_server() as server, Queue("mail", server.url) as queue:
    ...
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from stalkd_client.client import Client

START_S: Final = 10.0
"""How long a start may take. Without load it is 0.15 s."""

STOP_S: Final = 5.0
"""How long a stop may take, before the server is killed."""

LOOK_AGAIN_S: Final = 0.002
"""How often a socket that is not there yet is tried."""

LOG_CHARACTERS: Final = 2_000
"""Of the log that an error shows: its end."""


class Server:
    """A stalkd of one's own, behind a unix socket in a new directory. ``url`` is its address.

    It keeps jobs in memory, and runs with the Python that runs the tests.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        """Start. Raises RuntimeError if that fails."""
        self.url: str = f"unix:{directory / 'stalkd.sock'}"
        self._log = directory / "log"
        # -P: the installed package, not whatever lies in the current directory.
        command = [sys.executable, "-P", "-m", "stalkd", "-l", self.url, *options]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - it is our own
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def __repr__(self) -> str:
        return f"<Server {self.url}, process {self._process.pid}>"

    @property
    def log(self) -> str:
        """What the server has logged."""
        return self._log.read_text("utf-8", "replace")

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    def client(self) -> Client:
        """Return a new client of this server."""
        return Client(self.url)

    def stop(self) -> None:
        """Stop, and be gone."""
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait_until_ready(self) -> None:
        """Wait for the first answer: a server listens before it has loaded all of itself."""
        deadline = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"stalkd does not start:\n{self.log[-LOG_CHARACTERS:]}")
            time.sleep(LOOK_AGAIN_S)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                client.list_tube_used()
        except OSError:
            return False
        return True


@contextmanager
def private_server(*options: str) -> Iterator[Server]:
    """Run a server with such options as stalkd(1) has; it is gone at the end, and its jobs too."""
    # The path of a socket must be short: those of test frameworks' directories may not be.
    with tempfile.TemporaryDirectory(prefix="stalkd-") as directory:
        server = Server(Path(directory), *options)
        try:
            yield server
        finally:
            server.stop()
