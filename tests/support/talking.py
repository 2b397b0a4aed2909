"""Conversations of the client library with the daemon's core, without sockets."""

from __future__ import annotations

from typing import Any

from stalkd_client.conversation import Talker
from stalkd_client.exchange import Exchange
from stalkd_client.operations import Clock, Close, Connect, Conversation

from support.core import Core


class Fake:
    """Does the operations of conversations with the daemon's core; stops at the one it is told."""

    def __init__(self) -> None:
        self.core = Core()
        self.talker = Talker("t", ["t"], 0, 30)
        self.received = b""
        self.operations = self.stop_at = 0
        self.how: BaseException = KeyboardInterrupt()
        self.session = self.core.connect()
        self.is_open = False

    def do(self, conversation: Conversation[Any], stop_at: int = 0, how: Any = None) -> Any:
        """Let ``how`` be raised before the step with that number."""
        self.operations, self.stop_at, self.how = 0, stop_at, how
        try:
            operation = next(conversation)
            while True:
                try:
                    result = self.perform(operation)
                except (KeyboardInterrupt, OSError) as error:
                    operation = conversation.throw(error)
                    self.talker.lost_nothing = False
                else:
                    operation = conversation.send(result)
        except StopIteration as stop:
            return stop.value

    def step(self, *, is_receiving: bool = False) -> None:
        """What is raised while nothing but receiving was tried, has lost nothing."""
        self.operations += 1
        if self.operations == self.stop_at:
            self.talker.lost_nothing = is_receiving
            raise self.how

    def perform(self, operation: object) -> Any:
        if isinstance(operation, Exchange):
            return self.exchange(operation)
        self.step()
        match operation:
            case Clock():
                return self.core.now / 1e9
            case Connect():
                self.session, self.received, self.is_open = self.core.connect(), b"", True
            case Close():
                if self.is_open:
                    self.core.disconnect(self.session)
                self.is_open = False
        return None

    def exchange(self, asked: Exchange) -> None:
        if not asked.was_sent:
            self.step()
            self.send(asked.data)
            asked.expect_replies()
        for reply in asked.replies[asked.done :]:
            self.step(is_receiving=True)
            while not reply.take(self.receive(reply.wanted)):
                self.step(is_receiving=True)
            asked.done += 1

    def send(self, data: bytes) -> None:
        self.core.send(self.session, data)

    def receive(self, size: int | None) -> bytes:
        self.received += self.core.received(self.session)
        end = self.received.index(b"\r\n") + 2 if size is None else size
        taken, self.received = self.received[:end], self.received[end:]
        assert len(taken) == end, "the server has said nothing more"
        return taken.removesuffix(b"\r\n") if size is None else taken
