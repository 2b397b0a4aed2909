"""One connection of the load: sends commands without waiting, and takes the answers as they come.

What it sends and what is answered goes into the ledger; an answer that cannot be is a failure.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from random import Random
from typing import Any

from differential.replies import Reply, take_replies
from support.daemon import Address
from support.ledger import BURIED, GONE, READY, Facts, Known, Ledger, Step

MOST_UNSENT = 1 << 20
"""Bytes that may wait to be sent before nothing more is thought of."""


@dataclass
class Command:
    """A command that was sent. ``answered`` is called with its reply."""

    text: bytes
    answered: Callable[[Reply], None]
    steps: list[Step] = field(default_factory=list)
    reserves: int = 0


class Client:
    """Sends and receives; what to send, ``think`` knows, which each kind of client has for itself.

    ``held`` are the jobs that it has reserved and not given back.
    """

    depth = 1
    """How many commands may be on their way."""

    refusals: Collection[bytes] = ()
    """What a put may be answered besides INSERTED."""

    def __init__(self, name: str, address: Address, ledger: Ledger, rng: Random) -> None:
        self.name = name
        self.ledger = ledger
        self.rng = rng
        self.held: list[Known] = []
        self.in_flight: deque[Command] = deque()
        self.done = 0
        self.ended = False
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.connect(address)
        self.socket.setblocking(False)
        if family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unsent = bytearray()
        self._received = bytearray()

    def fileno(self) -> int:
        """For ``selectors``."""
        return self.socket.fileno()

    def think(self) -> None:
        """Say one thing or more."""
        raise NotImplementedError

    def step(self) -> None:
        """Take what has come; say more if little is on its way."""
        self.listen()
        thoughts = 0
        while not self.ended and len(self.in_flight) < self.depth and thoughts < self.depth:
            if len(self._unsent) > MOST_UNSENT:
                break
            self.think()
            thoughts += 1
        self.flush()

    def flush(self) -> None:
        """Send what the daemon takes."""
        while self._unsent and not self.ended:
            try:
                sent = self.socket.send(self._unsent)
            except BlockingIOError:
                return
            except (BrokenPipeError, ConnectionResetError):
                self.ended = True
                return
            del self._unsent[:sent]

    def listen(self) -> None:
        """Take all answers that have come."""
        while not self.ended:
            try:
                data = self.socket.recv(1 << 18)
            except BlockingIOError:
                break
            except ConnectionResetError:
                data = b""
            self.ended = not data
            self._received += data
        for reply in take_replies(self._received):
            assert self.in_flight, f"{self.name}: an answer to nothing: {reply}"
            self.in_flight.popleft().answered(reply)
            self.done += 1

    def close(self) -> None:
        """Hang up."""
        self.ended = True
        self.socket.close()

    # -- commands -------------------------------------------------------------------------------

    def say(self, command: Command) -> None:
        """Send a command."""
        self.in_flight.append(command)
        self._unsent += command.text

    def ask(self, line: bytes, expected: bytes) -> None:
        """Say something that changes no job."""
        self.say(Command(line + b"\r\n", _expects(line, expected)))

    def change(self, line: bytes, expected: bytes, *steps: Step) -> None:
        """Say something that changes jobs, which must have this answer."""

        def answered(reply: Reply) -> None:
            assert reply.head == expected, f"{self.name}: {line!r} was answered with {reply}"
            for step in steps:
                step.job.busy = False
                self.ledger.answered(step)

        self.say(Command(line + b"\r\n", answered, list(steps)))

    def put(self, body: bytes, facts: Facts, *, brief: bool = False) -> None:
        """Put a job into the tube that is used."""
        refusable = bool(self.refusals)
        step = self.ledger.put(self.name, body, facts, brief=brief, refusable=refusable)
        line = b"put %d %d %d %d" % (facts.pri, facts.delay, facts.ttr, len(body))

        def answered(reply: Reply) -> None:
            if reply.head in self.refusals:
                self.ledger.refused(step)
                return
            word, _, number = reply.head.partition(b" ")
            assert word == b"INSERTED", f"{self.name}: {line!r} was answered with {reply}"
            self.ledger.inserted(step.job, int(number))
            self.ledger.answered(step)

        self.say(Command(b"%b\r\n%b\r\n" % (line, body), answered, [step]))

    def reserve(self, seconds: int) -> None:
        """Ask for a job, and hold it."""

        def answered(reply: Reply) -> None:
            if reply.body is None:
                assert reply.head in {b"TIMED_OUT", b"DEADLINE_SOON"}, f"{self.name}: {reply}"
                return
            self.held.append(self.ledger.reserved(int(reply.head.split()[1]), reply.body))

        line = b"reserve-with-timeout %d\r\n" % seconds
        self.say(Command(line, answered, reserves=1))

    def reserve_job(self, job: Known) -> None:
        """Ask for this very job, which nobody holds or wants."""
        job.busy = True
        step = self.ledger.sends(self.name, job, job.facts._replace(state=READY))

        def answered(reply: Reply) -> None:
            assert reply.body == job.body, f"{self.name}: reserve-job {job.id}: {reply}"
            self.ledger.answered(step)
            self.held.append(self.ledger.reserved(job.id, reply.body))

        self.say(Command(b"reserve-job %d\r\n" % job.id, answered, [step], reserves=1))

    def delete(self, job: Known) -> None:
        """Delete a job that is held, or that nobody else wants."""
        job.busy = True
        step = self._step(job, state=GONE)
        if not job.brief:
            self.change(b"delete %d" % job.id, b"DELETED", step)
            return

        def answered(reply: Reply) -> None:
            if reply.head == b"DELETED":
                self.ledger.answered(step)
            else:  # Its lease has ended, and somebody else has it.
                job.withdraw(step)

        self.say(Command(b"delete %d\r\n" % job.id, answered, [step]))

    def release(self, job: Known, pri: int, delay: int) -> None:
        """Give a job back."""
        releases = job.facts.releases + 1
        state = "delayed" if delay else READY
        step = self._step(job, state=state, pri=pri, delay=delay, releases=releases)
        self.change(b"release %d %d %d" % (job.id, pri, delay), b"RELEASED", step)

    def bury(self, job: Known, pri: int) -> None:
        """Put a held job aside."""
        step = self._step(job, state=BURIED, pri=pri, buries=job.facts.buries + 1)
        self.change(b"bury %d %d" % (job.id, pri), b"BURIED", step)

    def kick_job(self, job: Known) -> None:
        """Make a buried or delayed job ready."""
        job.busy = True
        step = self._step(job, state=READY, kicks=job.facts.kicks + 1)
        self.change(b"kick-job %d" % job.id, b"KICKED", step)

    def kick(self, jobs: list[Known]) -> None:
        """Kick as many as these are; they must be those whose turn it is."""
        steps = [self._step(job, state=READY, kicks=job.facts.kicks + 1) for job in jobs]
        self.change(b"kick %d" % len(jobs), b"KICKED %d" % len(jobs), *steps)

    def touch(self, job: Known) -> None:
        """Ask for more time for a held job."""
        self.ask(b"touch %d" % job.id, b"TOUCHED")

    def pause(self, tube: str, seconds: int) -> None:
        """Pause a tube, or end its pause."""
        step = self.ledger.pausing(tube, seconds)
        line = b"pause-tube %b %d" % (tube.encode(), seconds)

        def answered(reply: Reply) -> None:
            assert reply.head == b"PAUSED", f"{self.name}: {line!r} was answered with {reply}"
            self.ledger.paused(tube, step)

        self.say(Command(line + b"\r\n", answered))

    def _step(self, job: Known, **changes: Any) -> Step:
        if job in self.held:
            self.held.remove(job)
        return self.ledger.sends(self.name, job, job.facts._replace(**changes))


def _expects(line: bytes, expected: bytes) -> Callable[[Reply], None]:
    def answered(reply: Reply) -> None:
        assert reply.head.startswith(expected), f"{line!r} was answered with {reply}"

    return answered
