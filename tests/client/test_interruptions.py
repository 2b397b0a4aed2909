"""Conversations without sockets, stopped at every single operation."""

from __future__ import annotations

from typing import Any

import pytest
from stalkd_client import requests
from stalkd_client.conversation import (
    Clock,
    Close,
    Connect,
    Conversation,
    Receive,
    Send,
    Talker,
)

from support.core import Core


class Fake:
    """Does the operations of conversations with the daemon's core; stops at the one it is told."""

    def __init__(self) -> None:
        self.core = Core()
        self.talker = Talker("t", ["t"], 0, 30)
        self.received = b""
        self.operations = 0
        self.session = self.core.connect()
        self.is_open = False

    def do(self, conversation: Conversation[Any], stop_at: int = 0, how: Any = None) -> Any:
        operations = 0
        try:
            operation = next(conversation)
            while True:
                operations += 1
                if operations == stop_at:
                    self.talker.lost_nothing = isinstance(operation, Receive)
                    operation = conversation.throw(how)
                    self.talker.lost_nothing = False
                else:
                    operation = conversation.send(self.perform(operation))
        except StopIteration as stop:
            return stop.value
        finally:
            self.operations = operations

    def perform(self, operation: object) -> Any:
        match operation:
            case Clock():
                return self.core.now / 1e9
            case Connect():
                self.session, self.received, self.is_open = self.core.connect(), b"", True
            case Close():
                if self.is_open:
                    self.core.disconnect(self.session)
                self.is_open = False
            case Send(data):
                self.core.send(self.session, data)
            case Receive(size):
                self.received += self.core.received(self.session)
                end = self.received.index(b"\r\n") + 2 if size is None else size
                taken, self.received = self.received[:end], self.received[end:]
                assert len(taken) == end, "the server has said nothing more"
                return taken.removesuffix(b"\r\n") if size is None else taken
        return None


@pytest.mark.parametrize("how", [KeyboardInterrupt, ConnectionResetError])
@pytest.mark.parametrize("held", [False, True])
def test_a_conversation_can_stop_anywhere(how: type[BaseException], held: bool) -> None:
    """The next commands work, and every job is delivered once more."""
    for stop_at in range(1, 100):
        fake = Fake()
        first, second = (fake.do(fake.talker.run(requests.put(body))) for body in (b"1", b"2"))
        if held:
            fake.do(fake.talker.run(requests.reserve(0)))
        try:
            fake.do(fake.talker.run(requests.reserve(0)), stop_at, how())
        except how:
            pass
        else:
            assert stop_at > fake.operations
            return
        was_kept = first in fake.talker.held
        job = fake.do(fake.talker.run(requests.reserve(0)))
        assert job.id == (second if was_kept else first)
    raise AssertionError("the conversation does not end")


def test_a_second_interruption_does_not_keep_a_late_job() -> None:
    """It came for a command that was interrupted, and must be given back at last."""
    for stop_at in range(1, 100):
        fake = Fake()
        for body in (b"1", b"2"):
            fake.do(fake.talker.run(requests.put(body)))
        fake.do(fake.talker.run(requests.reserve(0)))
        with pytest.raises(KeyboardInterrupt):
            fake.do(fake.talker.run(requests.reserve(0)), 3, KeyboardInterrupt())
        try:
            fake.do(fake.talker.run(requests.list_tube_used()), stop_at, KeyboardInterrupt())
        except KeyboardInterrupt:
            stopped = True
        else:
            stopped = False
        assert fake.do(fake.talker.run(requests.list_tube_used())) == "t"
        told = fake.do(fake.talker.run(requests.stats_tube("t")))
        assert told["current-jobs-reserved"] == len(fake.talker.held) <= 1
        assert told["current-jobs-ready"] == 2 - len(fake.talker.held)
        if not stopped:
            return
    raise AssertionError("the conversation does not end")


def test_an_interrupted_look_at_a_job_leaves_it_leased() -> None:
    fake = Fake()
    number = fake.do(fake.talker.run(requests.put(b"1")))
    fake.do(fake.talker.run(requests.reserve(0)))
    with pytest.raises(KeyboardInterrupt):
        fake.do(fake.talker.run(requests.peek(number)), 3, KeyboardInterrupt())
    assert fake.do(fake.talker.run(requests.stats_job(number)))["state"] == "reserved"
