"""All connections in one task.

The reactor waits on a private set of sockets (see ``poller``), reads what is ready, hands the bytes
to the protocol, and sends every reply of the round with one call per connection. A trio task per
connection would cost twice the processor time per command: the switch between tasks is dearer
than the command.

Between rounds it first looks again without trio: under load the next commands are there already
or will be within LINGER_S, and a round through trio's scheduler costs as much as five commands.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import trio

from stalkd.broker.limits import NS_PER_S
from stalkd.protocol.limits import MOST_REPLIES
from stalkd.server.connection import READ_SIZE, Connection
from stalkd.server.draining import DrainNews
from stalkd.server.faults import is_broken_invariant
from stalkd.server.keeper import NO_DESCRIPTOR
from stalkd.server.logs import TRACE, Complaints, event
from stalkd.server.poller import GONE, HANGUP, READ, WRITE, open_poller
from stalkd.server.stalled import STALL_S, Stalled
from stalkd.server.status import Status

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from stalkd.protocol.service import Service
    from stalkd.protocol.session import Session
    from stalkd.server.keeper import Keeper

EVENTS_PER_ROUND: Final = 256
"""Connections served before replies go out: bounds the wait of the first of them."""

LINGER_S: Final = 0.001
"""How long to wait for the next command outside trio, after a round that had some. Bounds the
delay of the other tasks; the kernel counts in milliseconds."""

YIELD_NS: Final = 5_000_000
"""After this long without a pause, the other tasks (accepting, signals) get their turn."""

LAST_ROUNDS: Final = 100
"""Rounds after the daemon was told to stop, each bounded by COMMANDS_PER_ROUND: enough for 25,000
connections that have just sent something, and half a second for those that do not stop sending."""

GATHER_NS: Final = 1_000_000
"""How long a sync that is due is put off while input keeps coming: it costs a quarter of a
millisecond of processor time, whether it covers one command or a hundred."""

LAST_SYNCS: Final = 3
"""Syncs waited for at the end: the one that runs, one for what came since, one if that fails."""

WITHOUT_LOG: Final = (
    "puts are refused from now on; what is done with jobs now is forgotten at the next start;"
    " let the jobs be worked off, mend the disk, and start again"
)
"""What the operator is told when the log is lost."""

ROUNDING_NS: Final = 1_000
"""Waking that much after a deadline makes up for trio's time being a float."""


class Reactor:
    """Serves connections until it is cancelled."""

    def __init__(
        self,
        service: Service,
        keeper: Keeper,
        log: logging.Logger,
        on_log_lost: Callable[[], None] = lambda: None,
    ) -> None:
        """Start with no connection; ``on_log_lost`` is called when the log had to be given up."""
        self._service = service
        self._keeper = keeper
        self._on_log_lost = on_log_lost
        self._shared = service.shared
        self._answers = service.broker.queues.answers
        self._log = log
        self._traced = log.isEnabledFor(TRACE)
        self._complaints = Complaints(log, trio.current_time)
        self._poller = open_poller()
        if keeper.fileno() != NO_DESCRIPTOR:
            self._poller.register(keeper.fileno(), READ)
        self._held: list[tuple[Session, bytes]] = []
        self._is_without_log = False
        self.drain_news = DrainNews(self._shared, log)
        self.status = Status()
        self._connections: dict[int, Connection] = {}
        self._by_session: dict[Session, Connection] = {}
        self._stalled = Stalled()

    def __len__(self) -> int:
        return len(self._connections)

    def add(self, sock: socket.socket, address: object) -> None:
        """Serve a new connection from now on; ``address`` is what accept said of the peer.

        Raises OSError, and changes nothing, when the system cannot watch another socket.
        """
        sock.settimeout(0)
        self._poller.register(sock.fileno(), READ)
        connection = Connection(sock, address, self._service.open())
        connection.session.client.peer = connection.peer()
        self._connections[connection.fd] = connection
        self._by_session[connection.session] = connection
        if self._log.isEnabledFor(logging.DEBUG):
            self._log.debug(event("connected", peer=connection.peer(), fd=connection.fd))

    async def run(self) -> None:
        """Serve until cancelled; then answer what has been received, and close everything."""
        try:
            while True:
                await self._wait()
                while self._turn():
                    await trio.lowlevel.checkpoint()
        except trio.Cancelled:
            self._answer_the_rest()
            raise
        finally:
            for connection in self._connections.values():
                connection.socket.close()
            self._poller.close()

    async def _wait(self) -> None:
        """Wait, among trio's other tasks, until there is something to do."""
        deadline = self._next_deadline() + ROUNDING_NS
        behind = self._keeper.is_behind
        if behind:
            self._stalled.pause(_now())
        with trio.move_on_at(deadline / NS_PER_S):
            await trio.lowlevel.wait_readable((self._keeper if behind else self._poller).fileno())

    def _turn(self) -> bool:
        """Serve round after round, but not too long; tell whether there was always more to do."""
        now = _now()
        turn_ends = now + YIELD_NS
        while now < turn_ends:
            if self._keeper.is_behind:
                self._round([], now)
                if self._keeper.is_behind:
                    return False
                self._stalled.go_on(now)
            ready = self._poller.poll(self._linger(now), EVENTS_PER_ROUND)
            now = _now()
            synced = self._round(ready, now)
            if not ready and not synced and self._next_deadline() > now:
                return False
        return True

    def _linger(self, now: int) -> float:
        """Return how long the next round may wait for input, in seconds."""
        return min(LINGER_S, max(0, self._next_deadline() - now) / NS_PER_S)

    def _next_deadline(self) -> int:
        """Return when there is something to do without any event, in nanoseconds; 0: now."""
        if self._keeper.is_busy or (self._shared.runnable and not self._keeper.is_behind):
            return 0
        deadline = min(self._service.broker.next_deadline(), self._keeper.next_deadline())
        deadline = min(deadline, self.status.next_deadline())
        return min(deadline, self._stalled.next_deadline()) if self._stalled else deadline

    def _answer_the_rest(self) -> None:
        """Answer the commands that have arrived already."""
        for _ in range(LAST_ROUNDS):
            ready = self._poller.poll(0, EVENTS_PER_ROUND)
            self._round(ready, _now())
            if not ready and not self._shared.runnable:
                break
        for _ in range(LAST_SYNCS):
            if self._held or self._shared.dirty:
                if self._keeper.wait(_now()):
                    self._let_go(_now())
                self._round([], _now())

    def _round(self, ready: list[tuple[int, int]], now: int) -> bool:
        """Do what is due, run and read what there is, and send all replies that may leave.

        Tell whether a sync has begun, so that there will soon be more to do.
        """
        keeper = self._keeper
        if keeper.collect(now):
            self._let_go(now)
        self._service.broker.is_behind = keeper.is_behind
        self._service.broker.is_full = keeper.is_full
        self._service.tick(now)
        if not keeper.is_behind:
            self._run_backlogs(now)
        for fd, mask in ready:
            connection = self._connections.get(fd)
            if connection is None:
                continue  # It was closed earlier in this round; or it is the keeper's.
            if mask == READ:
                self._read(connection, now)
            else:
                self._serve(connection, mask, now)
        if self._stalled and self._stalled.next_deadline() <= now:
            self._drop_stalled(now)
        keeper.compact(now)
        self._record(now)
        self.drain_news.tell_if_new()
        self.status.look(now)
        while self._shared.dirty and keeper.clears(now):
            self._flush(now)
            self._record(now)
        # While there is input, more can join this sync.
        idle = not ready and not self._shared.runnable
        if (idle or now >= keeper.next_deadline() + GATHER_NS) and keeper.sync(now):
            self._hold()
            return True
        return False

    def _record(self, now: int) -> None:
        """Pass on answers to those who waited, and write down all that has happened."""
        while self._answers:
            for session, error in self._service.deliver(now):
                self._fail(self._by_session[session], error, now)
        self._keeper.write(now)
        if self._keeper.failed is not None and not self._is_without_log:
            self._lose_log(now)
            self._record(now)  # The jobs of those who were hung up may go to others.

    def _hold(self) -> None:
        """Keep the replies that there are until the sync that has just begun is done."""
        for session in self._shared.take_dirty():
            connection = self._by_session.get(session)
            if connection is not None and connection.unsent is None and session.output:
                connection.held = True
                self._held.append((session, session.take_output()))

    def _let_go(self, now: int) -> None:
        """Send what was held: it is on the disk."""
        held, self._held = self._held, []
        for session, data in held:
            connection = self._by_session.get(session)
            if connection is not None:
                if self._traced:
                    self._log.log(TRACE, event("replied", fd=connection.fd, data=data))
                connection.let_go(data)
                self._send(connection, now)

    def _lose_log(self, now: int) -> None:
        """Go on without the log, taking no jobs any more.

        Replies that were not sent yet say what is not on the disk. Nobody gets them: their
        connections are closed.
        """
        self._is_without_log = self._shared.draining = self._shared.log_lost = True
        self._log.error(event("log_failed", reason=self._keeper.failed, hint=WITHOUT_LOG))
        held, self._held = self._held, []
        for session in [*(session for session, _ in held), *self._shared.take_dirty()]:
            connection = self._by_session.get(session)
            if connection is not None:
                self._close(connection, now, "log failed")
        self._on_log_lost()

    def _run_backlogs(self, now: int) -> None:
        """Let the sessions go on that had to wait, but not those whose peers do not take replies.

        These have their turn when all is sent.
        """
        for session in self._shared.start_round():
            connection = self._by_session.get(session)
            if connection is not None and connection.unsent is None:
                self._feed(connection, b"", now)

    # -- one connection -------------------------------------------------------------------------

    def _serve(self, connection: Connection, mask: int, now: int) -> None:
        """Do what the poller says is possible."""
        if mask & WRITE:
            self._send(connection, now)
        elif mask & READ:
            self._read(connection, now)
        elif mask & GONE:
            self._close(connection, now, "broken")
        elif mask & HANGUP:
            self._end(connection, self._service.end_wait, now)

    def _read(self, connection: Connection, now: int) -> None:
        try:
            data = connection.socket.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._close(connection, now, error.strerror or "broken")
            return
        if self._traced:
            self._log.log(TRACE, event("received", fd=connection.fd, data=data))
        if data:
            self._feed(connection, data, now)
        else:
            self._end(connection, self._service.end_input, now)

    def _feed(self, connection: Connection, data: bytes, now: int) -> None:
        """Give bytes to the protocol."""
        session = connection.session
        try:
            self._service.receive(session, data, now)
        except Exception as error:  # noqa: BLE001 - told apart in _fail
            self._fail(connection, error, now)
            return
        if len(session.output) > MOST_REPLIES:
            session.restrain()
        if session.stopped or session.queued or connection.interest != READ:
            self._review(connection, now)

    def _end(self, connection: Connection, end: Callable[[Session, int], None], now: int) -> None:
        """Tell the protocol that the peer has ended its side."""
        try:
            end(connection.session, now)
        except Exception as error:  # noqa: BLE001 - told apart in _fail
            self._fail(connection, error, now)
            return
        self._review(connection, now)

    def _fail(self, connection: Connection, error: Exception, now: int) -> None:
        """End one connection for a bug in its handling; raise again what concerns jobs."""
        if is_broken_invariant(error):
            raise error
        self._complaints.about("session_failed", peer=connection.peer(), error=error)
        self._close(connection, now, "internal error")

    def _review(self, connection: Connection, now: int) -> None:
        """Watch the connection for what it wants now; close it when it is through."""
        if connection.session.closing and not connection.has_replies():
            self._close(connection, now, "done")
            return
        wanted = connection.wanted()
        if wanted != connection.interest:
            connection.interest = wanted
            self._poller.modify(connection.fd, wanted)

    def _flush(self, now: int) -> None:
        """Send the replies of this round.

        Sending can give rise to more: a peer is found to be gone, and its jobs go to others.
        """
        find = self._by_session.get
        for session in self._shared.take_dirty():
            connection = find(session)
            if connection is not None and connection.unsent is None:
                self._send(connection, now)

    def _send(self, connection: Connection, now: int) -> None:
        """Send what the peer takes; with the rest, wait until it takes more."""
        if self._traced and connection.unsent is None:
            output = b"".join(connection.session.output)
            self._log.log(TRACE, event("replied", fd=connection.fd, data=output))
        try:
            moved = connection.send()
        except OSError as error:
            self._close(connection, now, error.strerror or "broken")
            return
        except MemoryError as error:
            self._fail(connection, error, now)
            return
        session = connection.session
        if connection.unsent is not None:
            self._stalled.note(connection, now, moved=moved)
        elif session.large_output or connection in self._stalled:
            self._stalled.forget(connection)
            session.output_sent()
        if session.stopped or connection.unsent is not None or connection.interest != READ:
            self._review(connection, now)

    def _drop_stalled(self, now: int) -> None:
        """Disconnect the peers that have taken nothing for STALL_S."""
        for connection in self._stalled.pop_due(now):
            self._complaints.about("peer_does_not_read", peer=connection.peer(), seconds=STALL_S)
            self._close(connection, now, "does not read")

    def _close(self, connection: Connection, now: int, reason: str) -> None:
        """Forget a connection; its jobs go back to their queues."""
        if self._log.isEnabledFor(logging.DEBUG):
            self._log.debug(event("disconnected", fd=connection.fd, reason=reason))
        session = connection.session
        if session.bad_lines:
            self._complaints.about(
                "peer_sent_bad_commands", peer=connection.peer(), count=session.bad_lines
            )
        self._poller.unregister(connection.fd)
        connection.socket.close()
        del self._connections[connection.fd], self._by_session[session]
        self._stalled.forget(connection)
        self._service.close(session, now)


def _now() -> int:
    """Return trio's time in nanoseconds, so that a test's clock rules everything."""
    return int(trio.current_time() * NS_PER_S)
