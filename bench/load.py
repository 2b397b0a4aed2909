"""The load generator: many connections, one loop, as few steps per reply as Python allows.

What a connection says is a *conversation*: a generator that yields a request together with
the number of lines its reply has, and gets that reply sent back in. The loop knows nothing
about jobs; it counts line ends, takes the time and goes on. What the replies say is checked
against the ledger after the clock has stopped.

The loop never sleeps. A server that writes to a sleeping peer on its own machine pays for
waking it, 2 us each time where this was tried; one that sends each reply by itself
(beanstalkd) pays a hundred times where one that sends them together pays once. With peers
on other machines neither pays, so here neither does.
"""

import os
import select
import socket
from collections.abc import Callable, Generator, Iterable
from time import perf_counter_ns

from bench.ledger import WrongReply
from bench.limit import Stalled
from bench.servers import HOST

Step = tuple[bytes, int]  # a request, and how many lines its reply has
Conversation = Generator[Step, bytes, None]

# One read takes three times what a hundred replies with their bodies need. From 128 KiB on,
# malloc would ask the system for each buffer, which makes a read five times as dear.
READ_BYTES = 65_536
# No piece has so many lines, not even the empty one that means closed: all are unexpected.
_NOTHING_DUE = -1


def connect(port: int) -> socket.socket:
    """A connection that sends at once what it is given."""
    peer = socket.create_connection((HOST, port))
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


def ask(peer: socket.socket, request: bytes, lines: int = 1) -> bytes:
    """Sends a request on a blocking connection; its reply, which has that many lines."""
    peer.sendall(request)
    reply = b""
    while reply.count(b"\n") < lines:
        piece = peer.recv(READ_BYTES)
        if not piece:
            raise WrongReply(request, reply + b"(closed)")
        reply += piece
    return reply


class Connections:
    """Open connections to one server, and what is going on on each, by file descriptor."""

    def __init__(self, port: int, count: int) -> None:
        self._epoll = select.epoll()
        self._sockets = {peer.fileno(): peer for peer in (connect(port) for _ in range(count))}
        for fd, peer in self._sockets.items():
            peer.settimeout(0)
            self._epoll.register(fd, select.EPOLLIN)
        self._tell: dict[int, Callable[[bytes], Step]] = {}
        self._due: dict[int, int] = dict.fromkeys(
            self._sockets, _NOTHING_DUE
        )  # lines still to come
        self._sent: dict[int, int] = {}  # ns
        self._held: dict[int, bytes] = {}  # the beginning of a reply

    def __len__(self) -> int:
        return len(self._sockets)

    def close(self) -> None:
        """Ends all connections."""
        self._epoll.close()
        for peer in self._sockets.values():
            peer.close()

    def drive(self, conversations: Iterable[Conversation]) -> list[int]:
        """Leads one conversation per connection to its end; the latency of each step in ns."""
        pairs = zip(self._sockets, conversations, strict=True)
        try:
            return self._loop(sum(self._open(fd, conversation) for fd, conversation in pairs))
        except Stalled as stalled:
            stalled.add_note(f"lines due by connection: {self._due}; pieces held: {self._held}")
            raise

    def _open(self, fd: int, conversation: Conversation) -> bool:
        """Sends the first request; False if there is none."""
        step = next(conversation, None)
        if step is None:
            return False
        request, self._due[fd] = step
        self._tell[fd] = conversation.send
        self._sent[fd] = perf_counter_ns()
        self._finish(fd, request, 0)
        return True

    # These lines are the whole cost of the generator: local names, dictionaries, no method
    # of ours on the common path, because at 50 x 1 the server must be the busy side.
    def _loop(self, running: int) -> list[int]:
        poll, read, write, clock = self._epoll.poll, os.read, os.write, perf_counter_ns
        tell, due, sent, held = self._tell, self._due, self._sent, self._held
        latencies: list[int] = []
        while running:
            for fd, _ in poll(0):
                reply = read(fd, READ_BYTES)
                if reply.count(b"\n") != due[fd] or fd in held:
                    reply = self._joined(fd, reply)
                    if not reply:
                        continue
                latencies.append(clock() - sent[fd])
                try:
                    request, due[fd] = tell[fd](reply)
                except StopIteration:
                    due[fd] = _NOTHING_DUE
                    running -= 1
                    continue
                sent[fd] = clock()
                if (done := write(fd, request)) != len(request):
                    self._finish(fd, request, done)
        return latencies

    def _joined(self, fd: int, piece: bytes) -> bytes:
        """The whole reply if this piece was its last, else nothing."""
        whole = self._held.pop(fd, b"") + piece
        missing = self._due[fd] - whole.count(b"\n")
        if not piece or missing < 0:
            raise WrongReply(b"(a request)", whole or b"(closed)")
        if not missing:
            return whole
        self._held[fd] = whole
        return b""

    def _finish(self, fd: int, request: bytes, done: int) -> None:
        """Sends the rest of a request that did not fit into the socket's buffer."""
        writable = select.poll()
        writable.register(fd, select.POLLOUT)
        while done < len(request):
            writable.poll()
            done += os.write(fd, request[done:])
