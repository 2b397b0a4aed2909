"""A stalkd inside the test: real loopback sockets, but no process, and trio's clock.

    async def test_something(clock: MockClock) -> None:
        async with serve(max_job_size=100) as server:
            wire = server.connect()
            assert await wire.ask(b"watch x") == b"WATCHING 2"

With `clock` (see tests/server/conftest.py) hours pass in no time. Afterwards the broker is checked.
"""

from __future__ import annotations

import io
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import trio

from stalkd.broker.broker import Broker
from stalkd.broker.check import check
from stalkd.config import (
    DEFAULT_MAX_JOB_SIZE,
    DEFAULT_SEGMENT_BYTES,
    DEFAULT_SYNC_MS,
    Config,
)
from stalkd.protocol.session import Session
from stalkd.server.connection import Connection
from stalkd.server.daemon import Daemon
from stalkd.server.logs import LEVELS
from stalkd.server.poller import open_poller
from stalkd.server.reactor import Reactor
from stalkd.server.start import now_ns
from support.daemon import HOST, Address
from support.wire import AsyncWire

LIMIT = 1_000
"""Connections admitted unless a test says otherwise."""


class LogBook:
    """A log that is read by the test."""

    def __init__(self, verbosity: int = 0) -> None:
        self._stream = io.StringIO()
        handler = logging.StreamHandler(self._stream)
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        # Not getLogger(): each test has its own, and pytest's handlers need not copy floods of it.
        self.logger = logging.Logger("stalkd", LEVELS[verbosity])  # noqa: LOG001 - see above
        self.logger.addHandler(handler)

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def about(self, event: str) -> list[str]:
        """The lines of one event."""
        return [line for line in self.lines if line.split()[1:2] == [event]]


class Server:
    """A daemon and the connections that the test made to it."""

    def __init__(self, daemon: Daemon, log: LogBook, address: Address) -> None:
        self.daemon = daemon
        self.log = log
        self.address = address
        self._wires: list[AsyncWire] = []

    @property
    def broker(self) -> Broker:
        return self.daemon.shared.broker

    @property
    def reactor(self) -> Reactor:
        return self.daemon.reactor

    def connect(self, address: Address | None = None) -> AsyncWire:
        """Open a new raw connection; it is closed at the end if the test does not do it."""
        wire = AsyncWire(address or self.address)
        self._wires.append(wire)
        return wire

    def connection(self, wire: AsyncWire) -> Connection:
        """The server's end of a TCP connection that has been accepted."""
        name = wire.socket.getsockname()
        (found,) = (
            each for each in self.reactor._connections.values() if each.socket.getpeername() == name
        )
        return found

    def sessions(self) -> list[Session]:
        """The sessions of all connections that have been accepted."""
        return [each.session for each in self.reactor._connections.values()]

    def close(self) -> None:
        for wire in self._wires:
            wire.close()


MOST_ROUNDS = 100_000
"""More than any test needs. A reactor that spins while the clock stands still would never end."""


class Rounds:
    """How often reactors have looked for input; each round does so once."""

    def __init__(self) -> None:
        self.count = 0

    def add(self) -> None:
        self.count += 1
        assert self.count < MOST_ROUNDS, "the reactor spins"

    def since(self, before: int) -> int:
        return self.count - before


class CountingPoller:
    """The poller of this system, counting."""

    def __init__(self, rounds: Rounds) -> None:
        self._rounds = rounds
        self._poller = open_poller()
        self.register = self._poller.register
        self.modify = self._poller.modify
        self.unregister = self._poller.unregister
        self.fileno = self._poller.fileno
        self.close = self._poller.close

    def poll(self, timeout: float, maxevents: int, /) -> list[tuple[int, int]]:
        self._rounds.add()
        return self._poller.poll(timeout, maxevents)


@contextmanager
def listening(unix: str | None = None) -> Iterator[socket.socket]:
    """A socket that listens on a free loopback port, or at the path `unix`."""
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as listener:
        listener.bind(unix or (HOST, 0))
        listener.listen(4096)
        yield listener


@asynccontextmanager
async def serve(
    *listeners: socket.socket,
    max_job_size: int = DEFAULT_MAX_JOB_SIZE,
    max_memory: int | None = None,
    max_connections: int = LIMIT,
    verbosity: int = 0,
    checked: bool = True,
    wal_dir: Path | None = None,
    sync_ms: int | None = DEFAULT_SYNC_MS,
    segment_bytes: int = DEFAULT_SEGMENT_BYTES,
    idle_exit_s: int | None = None,
) -> AsyncIterator[Server]:
    """Run a daemon beside the test, all but its signal handlers, which are the test run's own.

    Without listeners of the test's own, it listens on a free port; with `wal_dir` it keeps a log.
    """
    config = Config(
        max_job_size=max_job_size,
        max_memory=max_memory,
        wal_dir=str(wal_dir) if wal_dir is not None else None,
        sync_ms=sync_ms,
        segment_bytes=segment_bytes,
        idle_exit_s=idle_exit_s,
    )
    log = LogBook(verbosity)
    with ExitStack() as stack:
        listeners = listeners or (stack.enter_context(listening()),)
        async with trio.open_nursery() as nursery:
            daemon = Daemon(config, listeners, log.logger, max_connections)
            await daemon.prepare()
            nursery.start_soon(daemon.serve, nursery)
            server = Server(daemon, log, listeners[0].getsockname())
            stack.callback(server.close)
            stack.callback(lambda: daemon.keeper.close(now_ns()))
            yield server
            if checked:
                check(server.broker)
            nursery.cancel_scope.cancel()
