"""Bugs: one in a session's handling ends that session, one in the broker ends the daemon."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

import pytest
import trio

from stalkd.broker.queues import Queues
from stalkd.config import Config
from stalkd.protocol import interpreter
from stalkd.server.connection import Connection
from stalkd.server.daemon import STOPPING, Daemon
from stalkd.server.faults import is_broken_invariant
from support.inside import LIMIT, LogBook, listening, serve
from support.wire import AsyncWire, settle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio.testing import MockClock


def buggy(*_args: object) -> None:
    raise ZeroDivisionError("a bug, for the test")


@pytest.fixture
def signals_kept() -> Iterator[None]:
    """Daemon.run() unblocks and handles signals; afterwards all is as before."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    handlers = {number: signal.getsignal(number) for number in STOPPING}
    yield
    assert {number: signal.getsignal(number) for number in STOPPING} == handlers
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


async def test_a_bug_in_a_command_ends_that_session_only(
    clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its jobs go back, the traceback is logged, and the others are served."""
    monkeypatch.setitem(interpreter.ALONE, b"list-tube-used", buggy)
    async with serve() as server:
        unlucky, other = server.connect(), server.connect()
        await unlucky.send(b"put 0 0 60 1\r\nx\r\nreserve\r\n")
        await unlucky.expect(b"INSERTED 1\r\nRESERVED 1 1\r\nx\r\n")
        await other.send(b"reserve\r\n")
        await unlucky.send(b"list-tube-used\r\nuse never\r\n")
        await unlucky.expect_closed()
        await other.expect(b"RESERVED 1 1\r\nx\r\n")
        (line,) = server.log.about("session_failed")
        assert line.startswith("ERROR ")
        assert "peer=127.0.0.1:" in line
        assert "ZeroDivisionError: a bug, for the test" in server.log.text
        assert "Traceback (most recent call last):" in server.log.lines
        assert "never" not in server.broker.directory.tubes


async def test_a_bug_in_a_command_behind_a_reserve(
    clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It also ends that session only when it was another client's put that let it run."""
    monkeypatch.setitem(interpreter.ALONE, b"list-tube-used", buggy)
    async with serve() as server:
        unlucky, other = server.connect(), server.connect()
        await unlucky.send(b"reserve\r\nlist-tube-used\r\n")
        await settle()
        assert await other.put(b"x") == 1
        await unlucky.expect(b"RESERVED 1 1\r\nx\r\n")
        await unlucky.expect_closed()
        assert await other.ask(b"reserve") == b"RESERVED 1 1"
        assert len(server.log.about("session_failed")) == 1


async def test_a_bug_while_reading_the_end_of_input(
    clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it matter when in its life a session meets it."""
    monkeypatch.setitem(interpreter.ALONE, b"list-tube-used", buggy)
    async with serve() as server:
        unlucky, other = server.connect(), server.connect()
        await unlucky.send(b"reserve\r\nlist-tube-used\r\n")
        await settle()
        unlucky.finish_sending()
        await unlucky.expect_closed()
        assert await other.ask(b"use x") == b"USING x"
        assert len(server.log.about("session_failed")) == 1


@pytest.mark.parametrize("method", ["add_ready", "add_delayed", "wait"])
async def test_a_bug_in_the_broker_ends_the_daemon(
    clock: MockClock, monkeypatch: pytest.MonkeyPatch, signals_kept: None, method: str
) -> None:
    """A job may be half moved: going on could lose it or hand it out twice."""
    monkeypatch.setattr(Queues, method, buggy)
    log = LogBook()
    with listening() as listener, pytest.RaisesGroup(ZeroDivisionError):
        async with trio.open_nursery() as nursery:
            daemon = Daemon(Config(), [listener], log.logger, LIMIT)
            nursery.start_soon(run_flat, daemon)
            with contextlib.closing(AsyncWire(listener.getsockname())) as wire:
                await wire.send(b"put 0 0 60 0\r\n\r\nput 0 1 60 0\r\n\r\n")
                await wire.send(b"watch x\r\nignore default\r\nreserve\r\n")
                await trio.sleep_forever()
    assert log.about("session_failed") == []


async def run_flat(daemon: Daemon) -> None:
    """Run a daemon; an exception comes alone, not in a group of one."""
    try:
        await daemon.run()
    except ExceptionGroup as group:
        (error,) = group.exceptions
        raise error from None


async def test_a_bug_in_the_broker_while_time_passes(
    clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No command is needed to find it."""
    with pytest.RaisesGroup(ZeroDivisionError):
        async with serve() as server:
            await server.connect().put(b"", b"0 5 60")
            monkeypatch.setattr(Queues, "add_ready", buggy)
            await trio.sleep(4.9)
            assert len(server.reactor) == 1
            await trio.sleep_forever()


def test_whose_error_it_is() -> None:
    """What decides is whether the exception passed through the broker's code."""
    with pytest.raises(ZeroDivisionError) as elsewhere:
        buggy()
    assert not is_broken_invariant(elsewhere.value)
    with pytest.raises(AttributeError) as inside:
        Queues.add_ready(None, None, 0)  # type: ignore[arg-type]
    assert is_broken_invariant(inside.value)


@pytest.mark.parametrize(
    "error", [ConnectionResetError, BrokenPipeError, TimeoutError], ids=lambda each: each.__name__
)
async def test_a_socket_that_breaks_while_sending(
    clock: MockClock, monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    """That connection is closed, without a word in the log; its job goes back."""
    async with serve() as server:
        broken, other = server.connect(), server.connect()
        await broken.put(b"x")
        send, victim = Connection.send, server.connection(broken)

        def failing_send(self: Connection) -> bool:
            if self is victim:
                raise error
            return send(self)

        monkeypatch.setattr(Connection, "send", failing_send)
        await broken.send(b"reserve\r\n")
        await broken.expect_closed()
        assert await other.ask(b"reserve") == b"RESERVED 1 1"
        assert server.log.text == ""


async def test_stopping_answers_what_has_arrived(clock: MockClock) -> None:
    """Commands that are there when the daemon is stopped are run, and their replies leave."""
    async with serve() as server:
        wire = AsyncWire(server.address)
        assert await wire.put(b"x") == 1
        await settle()
        wire.socket.send(b"reserve\r\n" + b"use x\r\n" * 1_000)  # Nobody else has a turn now.
    with contextlib.closing(wire):
        await wire.expect(b"RESERVED 1 1\r\nx\r\n" + b"USING x\r\n" * 1_000)
        await wire.expect_closed()


async def test_signals_in_process(clock: MockClock, signals_kept: None) -> None:
    """USR1 lets puts be refused; TERM ends the daemon, which answers what it has received."""
    log = LogBook()
    with listening() as listener:
        async with trio.open_nursery() as nursery:
            daemon = Daemon(Config(), [listener], log.logger, LIMIT)
            nursery.start_soon(daemon.run)
            with contextlib.closing(AsyncWire(listener.getsockname())) as wire:
                assert await wire.put(b"x") == 1
                signal.raise_signal(signal.SIGUSR1)
                await settle()
                await wire.send(b"put 0 0 60 1\r\nx\r\n")
                await wire.expect(b"DRAINING\r\n")
                assert (await wire.ask_yaml(b"stats"))["draining"] == "true"
                await wire.send(b"use x\r\n" * 100)
                signal.raise_signal(signal.SIGTERM)
                await wire.expect(b"USING x\r\n" * 100)
                await wire.expect_closed()
    assert "jobs=1" in log.about("draining")[0]
    assert log.about("stopping") == ["INFO stopping signal=SIGTERM"]
