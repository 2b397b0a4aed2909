"""One running server, and the connections of one conversation with it."""

from __future__ import annotations

import select
import signal
import socket
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from differential.replies import Reply, take_replies
from differential.script import (
    CLOSED,
    Action,
    Conversation,
    Heard,
    Leave,
    Send,
    Signal,
    Speaker,
    Wait,
    escape,
)
from support.daemon import Wire, start_beanstalkd, start_stalkd

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from support.daemon import Address, Daemon

PATIENCE = 5.0
"""How long, in seconds, to wait for a reply that should be there already."""

START = {"beanstalkd": start_beanstalkd, "stalkd": start_stalkd}


@contextmanager
def open_stage(speaker: Speaker, conversation: Conversation) -> Iterator[Stage]:
    """Start the server that a conversation asks for, and stop it afterwards.

    The original always gets a Unix socket: it cannot find a free port by itself, and one that is
    free now may be taken before it has started.
    """
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/socket" if conversation.unix or speaker == "beanstalkd" else None
        if conversation.unix:
            _leave_behind(f"{directory}/socket")
        with START[speaker](*conversation.options, unix=path) as daemon:
            if speaker == "stalkd":
                Wire(daemon.address).close()  # as many connections as it takes to start the other
            with Stage(daemon) as stage:
                yield stage


def _leave_behind(path: str) -> None:
    """Put there what a server leaves behind that was killed."""
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(path)


class Connection:
    """One client connection: what it has received, cut into replies."""

    def __init__(self, address: Address) -> None:
        wire = Wire(address, PATIENCE)
        wire.ask(b"?")  # The server has accepted the connection when it answers.
        self._socket = wire.socket
        if self._socket.family == socket.AF_INET:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self.replies: list[Reply] = []
        self.hung_up = False

    def fileno(self) -> int:
        """For ``select``."""
        return self._socket.fileno()

    def send(self, data: bytes) -> None:
        """Send all of it, unless the server has hung up."""
        self._socket.settimeout(PATIENCE)
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self.hung_up = True

    def listen(self) -> None:
        """Take in everything that has arrived."""
        self._socket.settimeout(0)
        while not self.hung_up:
            try:
                data = self._socket.recv(1 << 20)
            except BlockingIOError:
                break
            except ConnectionResetError:
                data = b""
            self.hung_up = not data
            self._received += data
        self.replies += take_replies(self._received)

    def take_lines(self) -> list[str]:
        """Give out, as lines of a conversation, everything received so far."""
        lines = [line for reply in self.replies for line in reply.lines()]
        self.replies.clear()
        if self._received:
            lines.append(f"< {escape(bytes(self._received))} (is not a whole reply)")
            self._received.clear()
        if self.hung_up:
            lines.append(CLOSED)
        return lines

    def line_count(self) -> int:
        """How many lines the whole replies received so far have."""
        return sum(len(reply.lines()) for reply in self.replies) + self.hung_up

    def leave(self, how: str) -> None:
        """Half-close or close.

        Closing alone would not do: a process that another thread is just starting may have a copy
        of the socket until it runs its own program.
        """
        if how == "half-closes":
            self._socket.shutdown(socket.SHUT_WR)
        else:
            self._socket.shutdown(socket.SHUT_RDWR)
            self.close()

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


class Stage:
    """A server process and the named connections to it.

    `perform` returns when the server has done all it will do at once about the step. It knows this
    from a connection of its own, over which it sends junk and awaits the complaint: both servers
    serve their connections in turn, so that after a few such rounds every other connection has
    had its say. (That connection counts among ``current-connections``; junk is not counted.)
    """

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._stopped = False
        self._control = Wire(daemon.address, PATIENCE)
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stopped:
            self._daemon.signal(signal.SIGCONT)
        self._control.close()
        for connection in self._connections.values():
            connection.close()

    def perform(self, action: Action) -> None:
        """Take one step, and let the server finish with it."""
        match action:
            case Send(who, data):
                self._connection(who).send(data)
                self.settle(2 * data.count(b"\n") + len(data) // 200)
            case Leave(who, how):
                self._connection(who).leave(how)
                if how != "half-closes":
                    del self._connections[who]
                self.settle()
            case Wait(seconds):
                time.sleep(seconds)
                self.settle()
            case Signal(name):
                self._daemon.signal(signal.Signals[f"SIG{name}"])
                self._stopped = name == "STOP"
                self.settle()

    def settle(self, more_rounds: int = 0) -> None:
        """Let the server serve every connection: more often for more commands at once."""
        if not self._stopped:
            for _ in range(3 + more_rounds):
                self.ask(b"?")

    def ask(self, line: bytes) -> bytes:
        """Say something over the stage's own connection, which has one-line answers only."""
        return self._control.ask(line)

    def _connection(self, who: str) -> Connection:
        connection = self._connections.get(who)
        if connection is None:
            connection = self._connections[who] = Connection(self._daemon.address)
        return connection

    def hear(self, expected: Mapping[str, int], patience: float = PATIENCE) -> list[Heard]:
        """Everything received since the last time, connection by connection.

        Waits (in vain, if it must) until each connection has the expected number of lines.
        """
        give_up = time.monotonic() + patience
        while (late := self._late(expected)) and (left := give_up - time.monotonic()) > 0:
            select.select(late, [], [], left)
        return [Heard(who, line) for who in sorted(self._connections) for line in self._take(who)]

    def _late(self, expected: Mapping[str, int]) -> list[Connection]:
        for connection in self._connections.values():
            connection.listen()
        return [
            connection
            for who, connection in self._connections.items()
            if connection.line_count() < expected.get(who, 0) and not connection.hung_up
        ]

    def _take(self, who: str) -> list[str]:
        connection = self._connections[who]
        lines = connection.take_lines()
        if connection.hung_up:
            connection.close()
            del self._connections[who]
        return lines
