"""Telling the server how a worker is: a report that is there as long as the worker's connection.

It is a job that would expire at once if it were not reserved, and it is reserved by the worker it
is about. So an idle worker makes no traffic, and whatever ends it, nothing is left behind.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any, Final

from stalkd_client import beyond, requests
from stalkd_client.address import parse
from stalkd_client.client import Client
from stalkd_client.dial import dial
from stalkd_client.errors import (
    ExistsError,
    JobTooBigError,
    NotFoundError,
    StalkdError,
    UnsupportedByServerError,
)
from stalkd_client.jobs import Job
from stalkd_client.reports import NAMES, REPORTS
from stalkd_client.shell import CONNECT_TIMEOUT_S
from stalkd_client.worker.logs import Log
from stalkd_client.worker.reporting.control import Control
from stalkd_client.worker.reporting.identity import Identity, version
from stalkd_client.worker.reporting.portrait import fitted
from stalkd_client.worker.slots.common import Name

TELL_S: Final = 2.0
"""Between two reports of a worker that works: as often as people look, not as often as it does."""

LOOK_S: Final = 0.5
"""Between two looks whether there is news, where the main thread looks more often."""

PASSING: Final = frozenset({"starting", "reloading"})
"""States that are over soon, and that somebody waits for: their end is told without delay."""

LEFT_S: Final = 1.0
"""How long a report stays at most without its worker: the time between its put and its reserve."""

HELD_S: Final = float((1 << 32) - 1)
"""For how long it is reserved: 136 years, the longest that there is."""

AGAIN_S: Final = 1.0
"""After which it is tried again to connect."""

REFUSED_S: Final = 10.0
"""After which it is tried again to report, to a server that takes no jobs at present."""

GOODBYE_S: Final = 0.1
"""How long the end waits for the report to be deleted; else it goes a second after the worker."""

TRIES: Final = 5
"""How often a name is tried whose job is about to expire, or is our own."""

MOST_BYTES: Final = 65_000
"""Of a report: what a server takes, unless it was told otherwise."""

LEAST_BYTES: Final = 400
"""Of a report with empty lists: with less, nothing can be told."""

HANGS_UP: Final = getattr(select, "POLLRDHUP", select.POLLIN)
"""What shows the end of a connection where no answer is awaited."""


class Reporter:
    """Keeps the report up to date, in a thread with a connection of its own.

    ``due`` is when the main thread is to tell how the worker is; ``since`` makes of the monotonic
    clock seconds since 1970. Nothing that goes wrong here is of any harm to the worker.
    """

    def __init__(
        self,
        identity: Identity,
        url: str | None,
        log: Log,
        ask: Callable[[str, str], None],
        known_as: Name,
    ) -> None:
        """Connect nothing yet; ``ask`` is told the commands that come, with their orders' names.

        ``known_as`` is told which name the worker gets.

        Raises ValueError.
        """
        self.due: float = 0.0
        self.since: float = time.time() - time.monotonic()
        self._identity = identity
        self._url = url
        self._address = parse(url)
        self._log = log
        self._ask = ask
        self._known_as = known_as
        self._control = Control(url, identity.instance, log, self._obey)
        self._name = ""
        self._version = ""
        self._latest: dict[str, Any] | None = None
        self._most = MOST_BYTES
        self._is_over = False
        self._wake, self._poke = os.pipe()
        for each in (self._wake, self._poke):
            os.set_blocking(each, False)
        self._thread = threading.Thread(target=self._run, daemon=True)

    # -- for the main thread --------------------------------------------------------------------

    def start(self) -> None:
        """Begin to report."""
        self._thread.start()

    def tell(self, now: float, portrait: dict[str, Any]) -> None:
        """Have this reported, if it is news."""
        is_news = portrait != self._latest
        is_settled = is_news and portrait["state"] not in PASSING
        self.due = now + (TELL_S if is_settled else LOOK_S)
        if is_news:
            self._latest = portrait
            self._nudge()

    def close(self) -> None:
        """Delete the report and hang up, but do not wait long for that."""
        self._is_over = True
        self._control.close()
        self._nudge()
        self._thread.join(GOODBYE_S)

    def _nudge(self) -> None:
        with suppress(BlockingIOError):
            os.write(self._poke, b"n")

    def _obey(self, command: str, order: str) -> None:
        """Pass on a command; who gave it waits to see what becomes of it.

        As signals to stop are counted, and the second gives up all jobs, this must be none.
        """
        self.due = 0.0
        self._ask("finish" if command == "stop" else command, order)

    # -- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        self._version = version()
        while not self._is_over:
            try:
                with (
                    dial(self._address, CONNECT_TIMEOUT_S) as sock,
                    Client(self._url, sock=sock) as client,
                ):
                    self._report(client, sock)
            except UnsupportedByServerError:
                self._log.say("debug", "not-reported", hint="the server is no stalkd")
                return
            except StalkdError as error:
                self._refused(error)
                self._wait(None, REFUSED_S)
            except OSError:  # The slots tell of it.
                self._wait(None, AGAIN_S)

    def _report(self, client: Client, sock: socket.socket) -> None:
        """Have a name, and tell what there is to tell until the end, or until all is lost."""
        client.execute(beyond.probe())
        named = self._claim(client)
        self._control.listen(self._name)
        held: Job | None = None
        told: dict[str, Any] | None = None
        while not self._is_over:
            latest, patience = self._latest, None
            if latest is not None and latest is not told:
                try:
                    held = self._replace(client, held, latest)
                    told = latest
                except JobTooBigError as error:
                    patience = self._shrink(error)
                except StalkdError as error:
                    self._refused(error)
                    patience = REFUSED_S
            self._wait(sock, patience)
        client.execute_all([requests.delete(job) for job in (held, named) if job is not None])

    def _replace(self, client: Client, held: Job | None, latest: dict[str, Any]) -> Job:
        """Put a report, then take away the one before. Raises StalkdError, OSError."""
        body = fitted({**self._about(), **latest}, self._most)
        new = client.reserve_job(client.put(body, tube=REPORTS, ttl=LEFT_S, ttr=HELD_S))
        if held is not None:
            with suppress(StalkdError):  # Somebody has purged it.
                client.delete(held)
        return new

    def _about(self) -> dict[str, Any]:
        """Return what never changes."""
        me = self._identity
        return {
            "name": self._name,
            "host": me.host,
            "pid": me.pid,
            "started": me.started,
            "version": self._version,
            "instance": me.instance,
        }

    def _shrink(self, error: JobTooBigError) -> float:
        """Tell less from now on; return how long to wait before that."""
        if self._most <= LEAST_BYTES:
            self._refused(error)
            return REFUSED_S
        self._most = max(LEAST_BYTES, self._most // 2)
        return 0.0

    def _refused(self, error: StalkdError) -> None:
        self._log.say("debug", "not-reported", error=error)

    def _wait(self, sock: socket.socket | None, seconds: float | None) -> None:
        """Wait for news, or for the end of the time. Raises ConnectionError when that is lost."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        if sock is not None:
            poll.register(sock, HANGS_UP)
        found = poll.poll(None if seconds is None else seconds * 1000)
        with suppress(BlockingIOError):
            while os.read(self._wake, 4096):
                pass
        if any(descriptor != self._wake for descriptor, _ in found):
            raise ConnectionResetError("the server has closed the connection")

    # -- the name -------------------------------------------------------------------------------

    def _claim(self, client: Client) -> Job:
        """Have a name that no other worker has: the one as before, or the first that is free."""
        for name in chain([self._name] if self._name else [], self._identity.names()):
            for _ in self._tries():
                try:
                    job = client.put(
                        self._identity.instance, tube=NAMES, key=name, ttl=LEFT_S, ttr=HELD_S
                    )
                except ExistsError as error:
                    if self._is_taken(client, error.id):
                        break
                else:
                    self._call(name)
                    return client.reserve_job(job)
        raise AssertionError("names never end")

    def _tries(self) -> Iterator[None]:
        """Give TRIES moments, in which what nobody holds expires."""
        for number in range(TRIES):
            if number:
                time.sleep(LEFT_S / (TRIES - 1))
            yield

    def _is_taken(self, client: Client, job_id: int) -> bool:
        """Tell whether another worker holds a name; what is left of an earlier one expires soon."""
        try:
            holder = client.peek(job_id).body
            return (
                client.stats_job(job_id)["state"] == "reserved"
                and holder != self._identity.instance.encode()
            )
        except NotFoundError:
            return False

    def _call(self, name: str) -> None:
        """Have a name; if it is not the one that was wanted, say so."""
        if name not in {self._name, self._identity.wanted}:
            self._log.say("warning", "name-taken", name=self._identity.wanted, now=name)
        self._name = self._known_as.now = name
