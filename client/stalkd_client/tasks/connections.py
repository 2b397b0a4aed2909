"""The connections of tasks: one for each thread and server, made when it is needed."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, TypeVar

from stalkd_client.address import DEFAULT_URL, URL_VARIABLE
from stalkd_client.client import Client
from stalkd_client.errors import NotFoundError, StalkdError
from stalkd_client.requests import PutForm

T = TypeVar("T")

IDLE_S: Final = 1.0
"""After so long without a word a connection may have been closed, as by a restart of the server.
That must show before a job is put: afterwards nobody knows whether it was."""

MOST_SERVERS: Final = 8
"""Connections a thread keeps: programs have one server or two, test suites one per test."""

OUTAGE_S: Final = 60.0
"""How long a server may be away while somebody waits for a task: longer than a restart takes."""


class Connection:
    """A client that knows which tube it uses."""

    def __init__(self, url: str, retry_for: float) -> None:
        """Be not connected. Raises ValueError for a bad address."""
        self.client: Client = Client(url, retry_for=retry_for)
        self._used: str | None = None
        self._spoken = 0.0

    def using(self, tube: str) -> Client:
        """Return the client, using a tube, on a connection that is alive. Raises OSError."""
        now = time.monotonic()
        if tube != self._used or now - self._spoken > IDLE_S:
            self._used = None
            with suppress(OSError):
                self._used = self.client.use(tube)
            if self._used is None:  # Once more, on a new connection: it may have been an old one.
                self._used = self.client.use(tube)
        self._spoken = now
        return self.client

    def put(self, tube: str, form: PutForm, body: bytes, key: str | None) -> int:
        """Put one job; return its id. Raises as ``Client.put``."""
        return self.using(tube).execute(form.request(body, key))

    def has_put(self, job_id: int, body: bytes) -> bool:
        """Tell whether a job that is there has this body: a put was done, and sent again.

        If it has ended meanwhile, it may have been; then a reply tells. Raises OSError.
        """
        try:
            return self.client.peek(job_id).body == body
        except NotFoundError:
            return True

    def put_all(self, tube: str, form: PutForm, bodies: Iterable[bytes]) -> list[bytes]:
        """Put many with one exchange; return the lines of reply."""
        puts = [form.fill(body) for body in bodies]
        return self.using(tube).pour(puts, extended=form.extended)

    def insist(self, ask: Callable[[Client], T], ends: float | None) -> T:
        """Ask until the server answers: for what does no harm when it is done twice.

        Gives up at ``ends``, and when the server was away for OUTAGE_S. Raises OSError.
        """
        gives_up: float | None = None
        while True:
            try:
                return ask(self.client)  # It makes a pause by itself after a failure.
            except OSError:
                now = time.monotonic()
                gives_up = gives_up or min(now + OUTAGE_S, ends or now + OUTAGE_S)
                if now >= gives_up:
                    raise

    def take(self, tube: str, ends: float | None) -> bytes | None:
        """Take the first job out of a tube that nobody else reads; None if there is none."""

        def look(client: Client) -> bytes | None:
            self._used = None
            client.use(tube)
            try:
                job = client.peek_ready()
            except NotFoundError:
                return None
            try:
                client.delete(job.id)
            except (StalkdError, OSError):
                return job.body  # It is read, and goes by itself when its time is over.
            return job.body

        return self.insist(look, ends)


class Mine:
    """The connections of one thread in one process."""

    def __init__(self) -> None:
        self.pid: int = os.getpid()
        self.by_url: dict[str, Connection] = {}
        # Also at the end of the thread, and of the program.
        self.close: Callable[[], object] = weakref.finalize(self, _close, self.pid, self.by_url)


class Connections(threading.local):
    """The connections of the thread that asks; ``retry_for`` is that of ``Client``."""

    def __init__(self, retry_for: float = 0.0) -> None:
        """Have none yet: this runs anew in each thread."""
        self.retry_for = retry_for
        self._mine = Mine()

    def to(self, url: str | None) -> Connection:
        """Return the connection to a server; None: to that in STALKD_URL. Raises ValueError."""
        address = url or os.environ.get(URL_VARIABLE) or DEFAULT_URL
        if self._mine.pid != os.getpid():
            self.close()  # The process was forked, and these are its parent's.
        known = self._mine.by_url
        connection = known.pop(address, None) or Connection(address, self.retry_for)
        known[address] = connection  # The last one is that of the last use.
        if len(known) > MOST_SERVERS:
            known.pop(next(iter(known))).client.close()
        return connection

    def close(self) -> None:
        """Hang up; the next use connects again."""
        self._mine.close()
        self._mine = Mine()


def _close(pid: int, by_url: dict[str, Connection]) -> None:
    for connection in by_url.values():
        if pid == os.getpid():
            connection.client.close()
        else:  # The parent's: our copy of its socket is closed, and nothing is said on it.
            connection.client._abandon()  # noqa: SLF001 - Client refuses all else after a fork
    by_url.clear()
