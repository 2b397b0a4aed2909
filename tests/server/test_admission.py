"""Connections that find no room: over --max-connections, or without a descriptor."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest
import trio

from stalkd.server.acceptor import BACK_OFF_S
from stalkd.server.logs import REPEAT_S
from support.daemon import HOST
from support.inside import listening, serve
from support.wire import settle

if TYPE_CHECKING:
    from trio.testing import MockClock


class ScarceListener(socket.socket):
    """A listening socket for which the system has no descriptors while `scarce` is set."""

    scarce: OSError | None = None
    accepts = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.accepts += 1
        if self.scarce is not None:
            raise self.scarce
        return super().accept()


def scarce_listener() -> ScarceListener:
    listener = ScarceListener(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((HOST, 0))
    listener.listen()
    return listener


def no(number: int) -> OSError:
    return OSError(number, os.strerror(number))


async def test_over_the_limit_connections_are_closed(clock: MockClock) -> None:
    """One too many is closed at once, the others notice nothing, and there is one line about it."""
    async with serve(max_connections=3) as server:
        admitted = [server.connect() for _ in range(3)]
        for wire in admitted:
            assert await wire.ask(b"use x") == b"USING x"
        for _ in range(5):
            await server.connect().expect_closed()
        for wire in admitted:
            assert await wire.ask(b"use y") == b"USING y"
        (line,) = server.log.about("connection_refused")
        assert line.startswith("WARNING ")
        assert "connections=3 limit=3" in line


@pytest.mark.parametrize("how", ["close", "reset", "finish_sending"])
async def test_who_leaves_makes_room(clock: MockClock, how: str) -> None:
    """As soon as one has gone, however that happens, the next is admitted."""
    async with serve(max_connections=2) as server:
        for _ in range(3):
            leaving, staying = server.connect(), server.connect()
            assert await leaving.ask(b"use x") == b"USING x"
            await server.connect().expect_closed()
            getattr(leaving, how)()
            await settle()
            new = server.connect()
            assert await new.ask(b"use x") == b"USING x"
            new.close()
            staying.close()
            await settle()


async def test_the_limit_counts_all_connections_together(clock: MockClock) -> None:
    """It is a limit of the daemon, not of each listener."""
    with (
        tempfile.TemporaryDirectory() as directory,
        listening() as tcp,
        listening(f"{directory}/s") as unix,
    ):
        async with serve(tcp, unix, max_connections=2) as server:
            first, second = server.connect(), server.connect(unix.getsockname())
            assert await first.ask(b"use x") == b"USING x"
            assert await second.ask(b"use x") == b"USING x"
            await server.connect().expect_closed()
            await server.connect(unix.getsockname()).expect_closed()


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EINVAL]
)
async def test_without_descriptors_accepting_waits(clock: MockClock, number: int) -> None:
    """It tries again ten times a second, says so once a minute, and then lets them all in.

    The original writes the same line half a million times in that second.
    """
    with scarce_listener() as listener:
        async with serve(listener) as server:
            known = server.connect()
            assert await known.ask(b"use x") == b"USING x"
            listener.scarce = no(number)
            waiting = [server.connect() for _ in range(5)]
            clock.autojump_threshold = 0  # Thousands of short waits.
            before = listener.accepts
            await trio.sleep(2 * REPEAT_S - 1)
            assert 2 <= listener.accepts - before <= (2 * REPEAT_S) / BACK_OFF_S + 5
            clock.autojump_threshold = 0.01
            assert len(server.log.about("cannot_accept")) == 2
            assert os.strerror(number) in server.log.about("cannot_accept")[0]
            assert await known.ask(b"use y") == b"USING y"
            listener.scarce = None
            for wire in waiting:
                assert await wire.ask(b"use z") == b"USING z"


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.EINTR])
async def test_a_peer_that_is_gone_before_it_is_accepted(clock: MockClock, number: int) -> None:
    """It is no reason to complain, nor to let the next one wait."""
    with scarce_listener() as listener:
        accept = listener.accept
        failed: list[int] = []

        def fail_once() -> tuple[socket.socket, object]:
            if not failed:
                failed.append(number)
                raise no(number)
            return accept()

        listener.accept = fail_once  # type: ignore[method-assign]
        async with serve(listener) as server:
            assert await server.connect().ask(b"use x") == b"USING x"
            assert trio.current_time() == 0
            assert server.log.text == ""


async def test_many_knock_at_once(clock: MockClock) -> None:
    """Hundreds of connections that are there before the first is accepted all get in."""
    async with serve() as server:
        wires = [server.connect() for _ in range(300)]
        for number, wire in enumerate(wires):
            assert await wire.ask(b"use t%d" % number) == b"USING t%d" % number


async def test_a_socket_that_cannot_be_watched(
    clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the system refuses to watch one more socket, that one is closed and nothing else."""
    async with serve() as server:
        known = server.connect()
        assert await known.ask(b"use x") == b"USING x"

        def refuse_once(fd: int, mask: int) -> None:
            monkeypatch.setattr(server.reactor, "_poller", poller)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        poller = server.reactor._poller
        monkeypatch.setattr(server.reactor, "_poller", Mock(wraps=poller, register=refuse_once))
        await server.connect().expect_closed()
        assert len(server.log.about("cannot_accept")) == 1
        assert await known.ask(b"use y") == b"USING y"
        assert await server.connect().ask(b"use z") == b"USING z"
