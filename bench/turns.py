"""Several kinds of connections that take turns in one loop, so that none delays the others."""

import socket
from collections import deque
from collections.abc import Iterator, Sequence
from time import clock_gettime_ns, perf_counter_ns

from bench.ledger import Ledger, WrongReply
from bench.load import READ_BYTES, Conversation

# Ns between two probes. They are sent on time whether or not the last one was answered:
# otherwise one long pause would count as a single slow reply.
_PROBE_INTERVAL_NS = 1_000_000
_PUT_INTERVAL_NS = 5_000_000
_PROBE = b"list-tube-used\r\n"
_PROBE_REPLY = b"USING default\r\n"


class Prober:
    """A connection that asks for something small every millisecond.

    It notes how long each reply took, and how much of that time the server itself worked.
    The latter is what the server is to blame for when other processes use its core too.
    """

    interval_ns = _PROBE_INTERVAL_NS

    def __init__(self, peer: socket.socket, server_clock: int) -> None:
        self._peer = peer
        self._clock = server_clock
        self._due = 0  # ns
        self._sent: deque[tuple[int, int]] = deque()  # ns by both clocks, of unanswered probes
        self._reply = b""
        self.latencies: list[int] = []  # ns
        self.work: list[int] = []  # ns

    @property
    def waits(self) -> bool:
        """Whether a probe has no answer yet."""
        return bool(self._sent)

    def ask(self, now: int) -> None:
        """Sends a probe if it is time."""
        if now >= self._due:
            self._due = now + self.interval_ns
            self._sent.append((now, clock_gettime_ns(self._clock)))
            self._peer.sendall(self._request())

    def listen(self) -> None:
        """Takes the replies that are there."""
        if self._sent:
            self._reply += _received(self._peer)
            while self._sent and b"\n" in self._reply:
                line, end, self._reply = self._reply.partition(b"\n")
                self._note(*self._sent.popleft())
                self._take(line + end)

    def _request(self) -> bytes:
        return _PROBE

    def _take(self, reply: bytes) -> None:
        if reply != _PROBE_REPLY:
            raise WrongReply(_PROBE, reply)

    def _note(self, sent: int, worked: int) -> None:
        self.latencies.append(perf_counter_ns() - sent)
        self.work.append(clock_gettime_ns(self._clock) - worked)


class PuttingProber(Prober):
    """A connection that puts a job of its own every few milliseconds."""

    interval_ns = _PUT_INTERVAL_NS

    def __init__(self, peer: socket.socket, server_clock: int, requests: Iterator[bytes]) -> None:
        super().__init__(peer, server_clock)
        self._requests = requests
        self._asked = b""
        self._got = b""

    def _request(self) -> bytes:
        request = next(self._requests)
        self._asked += request
        return request

    def _take(self, reply: bytes) -> None:
        self._got += reply

    def check(self, ledger: Ledger) -> None:
        """Enters what was put, or raises WrongReply."""
        ledger.inserted(self._asked, self._got)


class Speaker:
    """A connection that leads a conversation, with at least `interval_ns` between its steps."""

    def __init__(self, peer: socket.socket, conversation: Conversation, interval_ns: int) -> None:
        self._peer = peer
        self._conversation = conversation
        self._interval = interval_ns
        self._next_at = 0  # ns
        self._request, self._lines = next(conversation)
        self._reply = b""
        self._asked = False
        self.talks = True

    def turn(self, now: int) -> None:
        """Sends the next request if it is time, or takes what came of the reply."""
        if self._asked:
            self._reply += _received(self._peer)
            if self._is_whole():
                self._go_on()
        elif self.talks and now >= self._next_at:
            self._next_at = now + self._interval
            self._asked = True
            self._peer.sendall(self._request)

    def _is_whole(self) -> bool:
        """Whether all of the reply is there."""
        return self._reply.count(b"\n") == self._lines

    def _go_on(self) -> None:
        self._asked = False
        reply, self._reply = self._reply, b""
        try:
            self._request, self._lines = self._conversation.send(reply)
        except StopIteration:
            self.talks = False


class DocumentSpeaker(Speaker):
    """A connection whose replies tell their size, however many lines they have."""

    def _is_whole(self) -> bool:
        line, end, text = self._reply.partition(b"\r\n")
        if end and not line.startswith(b"OK "):
            raise WrongReply(self._request, self._reply)
        return bool(end) and len(text) == int(line[3:]) + 2


def take_turns(probers: Sequence[Prober], speakers: Sequence[Speaker]) -> None:
    """Lets all go on until the speakers are done, and the probes answered."""
    while any(speaker.talks for speaker in speakers):
        now = perf_counter_ns()
        for prober in probers:
            prober.ask(now)
            prober.listen()
        for speaker in speakers:
            speaker.turn(now)
    while any(prober.waits for prober in probers):
        for prober in probers:
            prober.listen()


def _received(peer: socket.socket) -> bytes:
    """What has arrived, which may be nothing."""
    try:
        piece = peer.recv(READ_BYTES, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return b""
    if not piece:
        raise WrongReply(b"(waiting for a reply)", b"(closed)")
    return piece
