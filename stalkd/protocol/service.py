"""The door to the protocol: sessions are opened, fed with bytes and time, and closed here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalkd.protocol.commands import give_answer
from stalkd.protocol.interpreter import run
from stalkd.protocol.puts import abandon
from stalkd.protocol.replies import TIMED_OUT
from stalkd.protocol.session import Session, Shared

if TYPE_CHECKING:
    from stalkd.broker.client import Client
    from stalkd.broker.queues import Answer


class Service:
    """All sessions.

    After ``deliver``, ``shared.dirty`` are the sessions that have output to be sent, and
    ``shared.runnable`` those that can go on: they want a ``receive`` with no data.
    """

    def __init__(self, shared: Shared) -> None:
        """Start without sessions."""
        self.shared = shared
        self.broker = shared.broker
        self._sessions: dict[Client, Session] = {}

    def open(self, peer: str = "") -> Session:
        """Start a session for a new connection; ``peer`` is where it comes from."""
        client = self.broker.directory.enter(peer)
        session = self._sessions[client] = Session(self.shared, client)
        return session

    receive = staticmethod(run)
    """Take bytes that a client sent, and run every command that they complete."""

    def end_input(self, session: Session, now: int) -> None:
        """Note that all a client sent has been read; it closes when all of that is answered."""
        session.input_ended = True
        self.end_wait(session, now)

    def end_wait(self, session: Session, now: int) -> None:
        """Note that a client has ended its side, whatever is still to be read: it waits no more."""
        session.impatient = True
        if self.broker.queues.stop_waiting(session.client):
            session.reply(TIMED_OUT)
            session.stopped = False
            session.give = None
        self.receive(session, b"", now)

    def tick(self, now: int) -> None:
        """Do what is due by ``now``."""
        if self.broker.next_deadline() <= now:
            self.broker.tick(now)

    def close(self, session: Session, now: int) -> None:
        """Forget a session whose connection is gone; what it held goes back to the queues."""
        abandon(session)
        session.closing = session.stopped = True
        session.backlog = b""
        del self._sessions[session.client]
        self.broker.disconnect(session.client, now)

    def deliver(self, now: int) -> list[tuple[Session, Exception]]:
        """Give the sessions that waited the answers the broker has for them.

        To be called after everything else here, once all that had come is run. Returns the
        sessions whose answer failed, with the error.
        """
        answers = self.broker.queues.answers.copy()
        self.broker.queues.answers.clear()
        failures = []
        for client, answer in answers:
            session = self._sessions.get(client)
            if session is None:
                continue  # Closed meanwhile; its jobs have gone back already.
            try:
                self._answer(session, answer, now)
            except Exception as error:  # noqa: BLE001 - the caller tells apart what it is
                failures.append((session, error))
        return failures

    def _answer(self, session: Session, answer: Answer, now: int) -> None:
        session.stopped = False
        give, session.give = session.give or give_answer, None
        give(session, answer, now)
        if not session.full:
            session.go_on()
