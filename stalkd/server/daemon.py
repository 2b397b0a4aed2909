"""The running daemon: what goes on beside what.

The one module with trio in it that ``cli`` imports, and only once the sockets listen.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

import trio

from stalkd.broker.broker import Broker
from stalkd.broker.limits import NS_PER_S
from stalkd.protocol.service import Service
from stalkd.protocol.session import Settings, Shared
from stalkd.server.acceptor import Acceptor
from stalkd.server.collector import collect_if_small, keep_off_old_objects
from stalkd.server.logs import event
from stalkd.server.reactor import Reactor
from stalkd.server.surroundings import surroundings

if TYPE_CHECKING:
    import logging
    import socket
    from collections.abc import Sequence

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
        started = int(trio.current_time() * NS_PER_S)
        self._log = log
        self.shared = Shared(Broker(), settings, surroundings(), started)
        self.reactor = Reactor(Service(self.shared), log)
        self._acceptors = [Acceptor(each, self.reactor, limit, log) for each in listeners]

    async def run(self) -> None:
        """Serve until a signal says stop."""
        with trio.open_signal_receiver(*_heeded(), DRAINING) as signals:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {*STOPPING, DRAINING})
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.reactor.run)
                for acceptor in self._acceptors:
                    nursery.start_soon(acceptor.run)
                nursery.start_soon(self._keep_house)
                async for number in signals:
                    if number != DRAINING:
                        break
                    self.drain()
                # One is enough: another would end the process before it has cleaned up.
                signal.pthread_sigmask(signal.SIG_BLOCK, {*STOPPING, DRAINING})
                self._log.info(event("stopping", signal=signal.Signals(number).name))
                nursery.cancel_scope.cancel()

    def drain(self) -> None:
        """Refuse puts from now on."""
        self.shared.draining = True
        jobs = len(self.shared.broker.jobs)
        self._log.info(event("draining", jobs=jobs, hint="puts are refused until a restart"))

    async def _keep_house(self) -> None:
        while True:
            await trio.sleep(HOUSEKEEPING_S)
            broker = self.shared.broker
            collect_if_small(len(broker.jobs), len(broker.directory.tubes), len(self.reactor))


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
    trio.run(_serve, config, listeners, log, limit)
