"""A connection that breaks after any byte of a conversation, in either direction."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from stalkd_client import ExistsError, LeaseLostError, beyond, requests
from stalkd_client.exchange import Request

from support.interrupted import Ledger
from support.talking import Fake

FEW_BYTES = 200  # A conversation has more in each direction.


class Cut(Fake):
    """A connection that breaks once, after so many bytes in one direction."""

    def __init__(self, direction: str, after: int) -> None:
        super().__init__()
        self.left = {"up": 1 << 30, "down": 1 << 30, direction: after}
        self.talker.retry_for = 60

    @property
    def has_broken(self) -> bool:
        return min(self.left.values()) < 0

    def spend(self, direction: str, size: int) -> int:
        """How many of these bytes pass."""
        if self.has_broken:
            return size  # It breaks only once.
        passed = min(size, self.left[direction])
        self.left[direction] -= size
        return passed

    def send(self, data: bytes) -> None:
        passed = self.spend("up", len(data))
        self.core.send(self.session, data[:passed])
        if passed < len(data):
            raise ConnectionResetError("cut on the way up")

    def receive(self, size: int | None) -> bytes:
        data = super().receive(size)
        length = len(data) + (2 if size is None else 0)
        if self.spend("down", length) < length:
            raise ConnectionResetError("cut on the way down")
        return data


def play(fake: Cut, ledger: Ledger) -> None:
    """A conversation with all that changes something; who knows what was done is told."""

    def ask(request: Request[Any]) -> Any:
        return fake.do(fake.talker.run(request))

    for _ in range(3):
        number = ledger.new()
        with suppress(ConnectionError):
            ledger.was_put(number, put_once(ask, number))
    job = ask(requests.reserve(0))
    ledger.check(job)
    with suppress(LeaseLostError, ConnectionError):
        ask(requests.release(job, priority=7))
    held = ask(beyond.reserve_batch(2))
    for job in held:
        ledger.check(job)
        ledger.perhaps_deleted.add(job.id)
        with suppress(LeaseLostError, ConnectionError):
            ask(requests.delete(job))
            ledger.deleted.add(job.id)


def put_once(ask: Any, number: int) -> int:
    try:
        job_id: int = ask(requests.put(str(number), key=f"k{number}"))
    except ExistsError as error:
        return error.id
    return job_id


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_connection_may_break_after_every_byte(direction: str) -> None:
    """Nothing is lost, doubled or mixed up; and what could be repeated, was."""
    for after in range(2_000):
        fake, ledger = Cut(direction, after), Ledger()
        play(fake, ledger)
        fake.do(fake.talker.close())
        ledger.close([fake.do(fake.talker.run(requests.reserve(0))) for _ in range(count(fake))])
        assert len(ledger.put) == 3
        if not fake.has_broken:
            assert after > FEW_BYTES
            return
    raise AssertionError("the conversation does not end")


def count(fake: Fake) -> int:
    told = fake.do(fake.talker.run(requests.stats_tube("t")))
    return int(told["current-jobs-ready"])
