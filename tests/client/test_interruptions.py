"""Conversations without sockets, stopped at every single operation."""

from __future__ import annotations

from typing import Any

import pytest
from stalkd_client import requests
from stalkd_client.exchange import Request

from support.talking import Fake


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
        was_kept = first in fake.talker.known.held
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
            fake.do(fake.talker.run(requests.reserve(0)), 2, KeyboardInterrupt())
        try:
            fake.do(fake.talker.run(requests.list_tube_used()), stop_at, KeyboardInterrupt())
        except KeyboardInterrupt:
            stopped = True
        else:
            stopped = False
        assert fake.do(fake.talker.run(requests.list_tube_used())) == "t"
        told = fake.do(fake.talker.run(requests.stats_tube("t")))
        assert told["current-jobs-reserved"] == len(fake.talker.known.held) <= 1
        assert told["current-jobs-ready"] == 2 - len(fake.talker.known.held)
        if not stopped:
            return
    raise AssertionError("the conversation does not end")


def test_an_interrupted_look_at_a_job_leaves_it_leased() -> None:
    fake = Fake()
    number = fake.do(fake.talker.run(requests.put(b"1")))
    fake.do(fake.talker.run(requests.reserve(0)))
    with pytest.raises(KeyboardInterrupt):
        fake.do(fake.talker.run(requests.peek(number)), 2, KeyboardInterrupt())
    assert fake.do(fake.talker.run(requests.stats_job(number)))["state"] == "reserved"


def test_what_an_interrupted_row_of_commands_reserved_goes_back() -> None:
    """Wherever it stops: nobody got the jobs, so nobody would ever end their leases."""
    for stop_at in range(1, 100):
        fake = Fake()
        held, *_ = [fake.do(fake.talker.run(requests.put(body))) for body in (b"1", b"2", b"3")]
        fake.do(fake.talker.run(requests.reserve(0)))
        row: list[Request[Any]] = [requests.reserve(0), requests.watch("u"), requests.reserve(0)]
        try:
            fake.do(fake.talker.run_all(row), stop_at, KeyboardInterrupt())
        except KeyboardInterrupt:
            pass
        else:
            assert stop_at > fake.operations
            return
        told = fake.do(fake.talker.run(requests.stats_tube("t")))
        assert fake.talker.known.held <= {held}
        assert told["current-jobs-reserved"] == len(fake.talker.known.held)
    raise AssertionError("the conversation does not end")
