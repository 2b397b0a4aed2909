"""The running daemon: what goes on beside what.

The one module with trio in it that ``cli`` imports, and only once the sockets listen.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

import trio

from stalkd.broker.broker import Broker
from stalkd.protocol.service import Service
from stalkd.protocol.session import Settings, Shared
from stalkd.server.acceptor import Acceptor
from stalkd.server.collector import collect_if_small, keep_off_old_objects
from stalkd.server.faults import LogError, LogLostError
from stalkd.server.idle import until_unused
from stalkd.server.keeper import Keeper, LogKeeper
from stalkd.server.logs import event
from stalkd.server.notify import take_notifier
from stalkd.server.reactor import Reactor
from stalkd.server.start import now_ns, start_log
from stalkd.server.status import ToldStatus
from stalkd.server.surroundings import surroundings
from stalkd.server.wal_dir import explained, has_log

if TYPE_CHECKING:
    import logging
    import socket
    from collections.abc import AsyncIterator, Sequence

    from stalkd.config import Config

STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that end the daemon in good order."""

DRAINING: Final = signal.SIGUSR1
"""Signal that makes it refuse puts from now on."""

HOUSEKEEPING_S: Final = 60
"""Seconds between looks for old garbage: cycles are rare, and small."""


class Daemon:
    """A broker, its protocol and its sockets."""

    def __init__(
        self, config: Config, listeners: Sequence[socket.socket], log: logging.Logger, limit: int
    ) -> None:
        """Put the parts together; ``limit`` is how many connections are admitted."""
        settings = Settings(config.max_job_size, config.max_memory, config.segment_bytes)
        self._config = config
        self._log = log
        self._listeners = listeners
        self._limit = limit
        self._scope = trio.CancelScope()
        self.shared = Shared(Broker(), settings, surroundings(), now_ns())
        self.keeper = Keeper()
        self._notifier = take_notifier(os.environ, log)
        self.reactor: Reactor

    async def run(self) -> None:
        """Serve until a signal says stop, or nobody uses it any more.

        Raises LogError when the log cannot be used, LogLostError at the end when it had to be given
        up.
        """
        with trio.open_signal_receiver(*_heeded(), DRAINING) as signals:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {*STOPPING, DRAINING})
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._heed, signals)
                failure = await self._run(nursery)
                nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _run(self, nursery: trio.Nursery) -> Exception | None:
        """Start, serve, and finish; return what was wrong with the log."""
        try:
            with self._scope:
                await self.prepare()
                nursery.start_soon(self._keep_house)
                await self.serve(nursery)
        except LogError as error:
            self._notifier.status(str(error))
            return error
        finally:
            self.keeper.close(now_ns())
        return LogLostError(self.keeper.failed) if self.keeper.failed is not None else None

    async def prepare(self) -> None:
        """Read the log, if there is to be one. Raises LogError."""
        path = self._config.wal_dir
        if path is not None:
            with explained(path):
                is_new = not has_log(path)
                log = await start_log(
                    path, self._config, self.shared.broker, self._log, self._notifier
                )
            if is_new:  # A disk that is not mounted looks like this, too.
                self._log.info(event("log_created", directory=path))
            self.shared.journal = log
            self.keeper = LogKeeper(log)
        on_log_lost = self._stop if self._config.exit_on_log_error else lambda: None
        self.reactor = Reactor(Service(self.shared), self.keeper, self._log, on_log_lost)

    async def serve(self, nursery: trio.Nursery) -> None:
        """Serve until cancelled, with other tasks in ``nursery``."""
        for listener in self._listeners:
            nursery.start_soon(Acceptor(listener, self.reactor, self._limit, self._log).run)
        if self._config.idle_exit_s is not None:
            nursery.start_soon(self._end_when_idle, self._config.idle_exit_s)
        self._tell_ready()
        await self.reactor.run()

    def _tell_ready(self) -> None:
        if self._notifier.is_heard:
            status = ToldStatus(self._notifier, self.shared, self.keeper)
            self._notifier.ready(status.text())
            self.reactor.status = status

    def _stop(self) -> None:
        """Begin to end."""
        self._notifier.stopping("stopping")
        self._scope.cancel()

    async def _heed(self, signals: AsyncIterator[int]) -> None:
        """Do what signals say, up to the one that says stop."""
        async for number in signals:
            if number != DRAINING:
                break
            self.drain()
        # One is enough: another would end the process before it has cleaned up.
        signal.pthread_sigmask(signal.SIG_BLOCK, {*STOPPING, DRAINING})
        self._log.info(event("stopping", signal=signal.Signals(number).name))
        self._stop()

    def drain(self) -> None:
        """Refuse puts from now on."""
        self.shared.draining = True
        self.reactor.drain_news.tell()
        self.reactor.status.refresh()

    async def _end_when_idle(self, seconds: int) -> None:
        await until_unused(self.reactor, self.shared.broker.directory, seconds)
        self._log.info(event("stopping", idle_s=seconds))
        self._stop()

    async def _keep_house(self) -> None:
        while True:
            await trio.sleep(HOUSEKEEPING_S)
            broker = self.shared.broker
            collect_if_small(len(broker.jobs), len(broker.directory.tubes), len(self.reactor))
            self.reactor.status.refresh()


def _heeded() -> list[signal.Signals]:
    """Return the stop signals, less those that nohup or a shell made us ignore."""
    return [each for each in STOPPING if signal.getsignal(each) != signal.SIG_IGN]


async def _serve(
    config: Config, listeners: Sequence[socket.socket], log: logging.Logger, limit: int
) -> None:
    await Daemon(config, listeners, log, limit).run()


def serve(
    config: Config, listeners: Sequence[socket.socket], log: logging.Logger, limit: int
) -> None:
    """Run the daemon on listening sockets until it is told to stop."""
    keep_off_old_objects()
    # As process 1 of a container it inherits the children of others: the system sees them off.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    trio.run(_serve, config, listeners, log, limit)
