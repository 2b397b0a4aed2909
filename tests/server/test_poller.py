"""The poller of systems without epoll does all that the other one does."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING

import pytest
import trio

from stalkd.server import reactor
from stalkd.server.poller import GONE, READ, WRITE, Poller, SelectorPoller, open_poller
from stalkd.server.stalled import STALL_S
from support.inside import serve
from support.wire import settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trio.testing import MockClock

BODY = b"x" * 65_535
FLOOD = 16 << 20


@pytest.fixture
def selectors_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactor, "open_poller", SelectorPoller)


async def test_a_whole_conversation(clock: MockClock, selectors_only: None) -> None:
    """Putting, waiting, time, large replies, half-close, reset: all as with epoll."""
    async with serve() as server:
        producer, worker, heir = (server.connect() for _ in range(3))
        await worker.send(b"reserve\r\nreserve-with-timeout 5\r\n")
        assert await producer.put(b"x", b"0 0 10") == 1
        await worker.expect_at(0, b"RESERVED 1 1\r\nx\r\n")
        await worker.expect_at(5, b"TIMED_OUT\r\n")
        await heir.send(b"reserve\r\n")
        await heir.expect_at(10, b"RESERVED 1 1\r\nx\r\n")
        await worker.send(b"reserve\r\n")
        await settle()
        heir.reset()
        await worker.expect_at(10, b"RESERVED 1 1\r\nx\r\n")
        await producer.put(BODY)
        await producer.send(b"peek 2\r\n" * 50)
        await trio.sleep(1)
        await producer.expect(b"FOUND 2 65535\r\n%b\r\n" % BODY * 50)
        producer.finish_sending()
        await producer.expect_closed()
        assert len(server.reactor) == 1


async def test_peers_that_do_not_read(clock: MockClock, selectors_only: None) -> None:
    """They are not read further, and are disconnected after a minute."""
    async with serve() as server:
        deaf, waiting = server.connect(), server.connect()
        await deaf.put(BODY)
        assert await deaf.stuff(b"peek 1\r\n", FLOOD) < FLOOD
        await waiting.send(b"watch x\r\nignore default\r\nreserve\r\n")
        await waiting.expect(b"WATCHING 2\r\nWATCHING 1\r\n")
        assert await waiting.stuff(b"use x\r\n", FLOOD) < FLOOD
        await trio.sleep(STALL_S + 0.1)
        assert len(server.reactor) == 1


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has the other one only")
def test_the_best_poller_is_taken() -> None:
    """Where there is epoll, it is used."""
    with open_poller() as poller:  # type: ignore[attr-defined]
        assert isinstance(poller, select.epoll)


@pytest.fixture(params=[open_poller, SelectorPoller], ids=["best", "selectors"])
def poller(request: pytest.FixtureRequest) -> Iterator[Poller]:
    """Each poller, to see that they agree."""
    make: Callable[[], Poller] = request.param
    poller = make()
    yield poller
    poller.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_reports_what_is_asked_for(
    poller: Poller, pair: tuple[socket.socket, socket.socket]
) -> None:
    """Readable and writable, each only if wanted."""
    ours, theirs = pair
    fd = ours.fileno()
    poller.register(fd, READ)
    assert poller.poll(0, 10) == []
    theirs.send(b"x")
    assert poller.poll(0, 10) == [(fd, READ)]
    poller.modify(fd, READ | WRITE)
    assert poller.poll(0, 10) == [(fd, READ | WRITE)]
    poller.modify(fd, WRITE)
    assert poller.poll(0, 10) == [(fd, WRITE)]
    poller.modify(fd, 0)
    assert poller.poll(0, 10) == []
    poller.modify(fd, READ)
    assert poller.poll(0, 10) == [(fd, READ)]
    poller.modify(fd, 0)
    poller.unregister(fd)
    assert poller.poll(0, 10) == []


def test_reports_the_end_of_a_connection_that_is_read(
    poller: Poller, pair: tuple[socket.socket, socket.socket]
) -> None:
    """It shows as readable, perhaps with more said."""
    ours, theirs = pair
    poller.register(ours.fileno(), READ)
    theirs.close()
    ((fd, mask),) = poller.poll(0, 10)
    assert fd == ours.fileno()
    assert mask & READ
    assert mask & ~GONE == READ


def test_has_a_descriptor_that_shows_when_there_is_something(
    poller: Poller, pair: tuple[socket.socket, socket.socket]
) -> None:
    """That is what the reactor's task waits for."""
    ours, theirs = pair
    poller.register(ours.fileno(), READ)
    assert select.select([poller.fileno()], [], [], 0)[0] == []
    theirs.send(b"x")
    assert select.select([poller.fileno()], [], [], 0)[0] == [poller.fileno()]
