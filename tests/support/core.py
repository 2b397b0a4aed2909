"""The daemon's core without a server: sessions, bytes and a clock that is set by hand."""

from __future__ import annotations

from collections import defaultdict

from stalkd.broker.broker import Broker
from stalkd.protocol.service import Service
from stalkd.protocol.session import Session, Settings, Shared


class Core:
    """What the reactor does, without sockets. ``now`` is in nanoseconds."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.now = 0
        self.broker = Broker()
        self.shared = Shared(self.broker, settings or Settings(), lambda: ({}, {}), 0)
        self.service = Service(self.shared)
        self._received: dict[Session, bytearray] = defaultdict(bytearray)

    def connect(self) -> Session:
        return self.service.open()

    def send(self, session: Session, data: bytes) -> None:
        self.service.receive(session, data, self.now)
        self.settle()

    def end_input(self, session: Session) -> None:
        self.service.end_input(session, self.now)
        self.settle()

    def disconnect(self, session: Session) -> None:
        self.service.close(session, self.now)
        self.settle()

    def advance(self, now: int) -> None:
        self.now = now
        while self.broker.next_deadline() <= now:
            self.service.tick(now)
        self.settle()

    def settle(self) -> None:
        """Let sessions go on that can, and send what there is, until nothing is left to do."""
        self._deliver()
        while self.shared.runnable or self.shared.dirty:
            for session in self.shared.start_round():
                self.service.receive(session, b"", self.now)
            self._deliver()
            for session in self.shared.take_dirty():
                self._received[session] += session.take_output()
                session.output_sent()

    def _deliver(self) -> None:
        for _, error in self.service.deliver(self.now):
            raise error

    def received(self, session: Session) -> bytes:
        """Return what a client got since the last call."""
        return bytes(self._received.pop(session, b""))

    def ask(self, session: Session, data: bytes) -> bytes:
        """Send something and return the reply."""
        self.send(session, data)
        return self.received(session)
