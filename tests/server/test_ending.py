"""How connections end: in good order, half, abruptly, in the middle of something."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
import trio

from stalkd.server.connection import Connection
from support.inside import Rounds, serve
from support.wire import settle

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_half_close_lets_queued_commands_finish(clock: MockClock) -> None:
    """Whoever sends and shuts down its side (`printf … | nc`) still gets every reply."""
    async with serve() as server:
        wire = server.connect()
        await wire.send(b"put 0 0 60 1\r\nx\r\nreserve\r\ndelete 1\r\nuse a")
        await wire.send(b"\r\n" * 1_000 + b"list-tube-used\r\n")
        wire.finish_sending()
        await wire.expect(b"INSERTED 1\r\nRESERVED 1 1\r\nx\r\nDELETED\r\nUSING a\r\n")
        await wire.expect(b"UNKNOWN_COMMAND\r\n" * 999 + b"USING a\r\n")
        await wire.expect_closed()


async def test_half_close_ends_a_wait(clock: MockClock) -> None:
    """A waiting reserve of a client that sends nothing more times out; what is behind it runs."""
    async with serve() as server:
        wire = server.connect()
        await wire.send(b"reserve\r\nuse a\r\nreserve\r\nreserve-with-timeout 100\r\nuse b\r\n")
        await wire.expect_silence(1)
        wire.finish_sending()
        await wire.expect_at(1, b"TIMED_OUT\r\nUSING a\r\nTIMED_OUT\r\nTIMED_OUT\r\nUSING b\r\n")
        await wire.expect_closed()


async def test_half_close_ends_a_wait_with_much_behind_it(clock: MockClock) -> None:
    """Also when there is more than the server keeps for a client that waits."""
    count = 20_000
    async with serve() as server:
        wire = server.connect()
        await wire.send(b"reserve\r\n" + b"use x\r\n" * count)
        await settle()
        wire.finish_sending()
        await wire.expect(b"TIMED_OUT\r\n" + b"USING x\r\n" * count)
        await wire.expect_closed()


async def test_half_close_together_with_a_reserve(clock: MockClock) -> None:
    """It makes no difference that the end of input is there before the reserve is read."""
    async with serve() as server:
        wire = server.connect()
        await wire.send(b"reserve\r\nuse a\r\n")
        wire.finish_sending()
        await wire.expect_at(0, b"TIMED_OUT\r\nUSING a\r\n")
        await wire.expect_closed()


async def test_half_close_gives_jobs_back(clock: MockClock) -> None:
    """The jobs that it holds go to others as soon as it has been answered."""
    async with serve() as server:
        wire, heir = server.connect(), server.connect()
        await wire.send(b"put 0 0 60 1\r\nx\r\nreserve\r\n")
        await wire.expect(b"INSERTED 1\r\nRESERVED 1 1\r\nx\r\n")
        await heir.send(b"reserve\r\n")
        wire.finish_sending()
        await heir.expect_at(0, b"RESERVED 1 1\r\nx\r\n")
        await wire.expect_closed()


async def test_half_closed_clients_do_not_spin(clock: MockClock, rounds: Rounds) -> None:
    """A half-closed connection whose replies are not read costs nothing."""
    async with serve() as server:
        wire = server.connect()
        await wire.put(b"x" * 65_535)
        await wire.stuff(b"peek 1\r\n", 1 << 20)
        wire.finish_sending()
        await settle()
        before = rounds.count
        await trio.sleep(30)
        assert rounds.since(before) <= 1


@pytest.mark.parametrize(
    "unfinished", [b"put 0 0 60 10\r\n12345", b"put 0 0 60 3\r\n123\r", b"put 0 0 60 3", b"dele"]
)
@pytest.mark.parametrize("how", ["close", "reset", "finish_sending"])
async def test_ending_in_the_middle(clock: MockClock, unfinished: bytes, how: str) -> None:
    """A command that did not arrive completely does nothing, however its connection ends."""
    async with serve() as server:
        wire, other = server.connect(), server.connect()
        await wire.send(b"put 0 0 60 1\r\nx\r\n" + unfinished)
        await wire.expect(b"INSERTED 1\r\n")
        await settle()
        getattr(wire, how)()
        await settle()
        told = await other.ask_yaml(b"stats")
        assert (told["total-jobs"], told["current-connections"]) == ("1", "1")
        assert server.daemon.shared.uploading == 0


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_jobs_come_back_at_once(clock: MockClock, how: str) -> None:
    """A worker that goes, or whose machine does, gives back all its jobs without delay."""
    async with serve() as server:
        worker, heir = server.connect(), server.connect()
        for pri in (3, 1, 2):
            await worker.put(b"x", b"%d 0 60" % pri)
        await worker.send(b"reserve\r\n" * 3)
        await worker.expect(b"RESERVED 2 1\r\nx\r\nRESERVED 3 1\r\nx\r\nRESERVED 1 1\r\nx\r\n")
        await heir.send(b"reserve\r\n" * 3)
        await settle()
        getattr(worker, how)()
        await heir.expect_at(0, b"RESERVED 2 1\r\nx\r\nRESERVED 3 1\r\nx\r\nRESERVED 1 1\r\nx\r\n")
        told = await heir.ask_yaml(b"stats-job 1")
        assert (told["timeouts"], told["releases"], told["reserves"]) == ("0", "0", "2")


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_waiting_client_that_goes_gets_no_job(clock: MockClock, how: str) -> None:
    """Nothing is handed to a connection that is gone."""
    async with serve() as server:
        gone, other = server.connect(), server.connect()
        await gone.send(b"reserve\r\nuse x\r\n")
        await settle()
        getattr(gone, how)()
        await settle()
        assert (await other.ask_yaml(b"stats"))["current-waiting"] == "0"
        await other.put(b"x")
        assert await other.ask(b"reserve") == b"RESERVED 1 1"


async def test_reset_of_many_at_once(clock: MockClock) -> None:
    """A crashed machine with hundreds of workers loses no job, and some of them get others'."""
    count = 300
    async with serve() as server:
        workers = [server.connect() for _ in range(count)]
        for number, worker in enumerate(workers, 1):
            await worker.send(b"put 0 0 600 1\r\nx\r\nreserve\r\n")
            await worker.expect(b"INSERTED %d\r\nRESERVED %d 1\r\nx\r\n" % (number, number))
        for worker in workers:
            await worker.send(b"reserve\r\n")
        await settle()
        for worker in workers:
            worker.reset()
        await settle()
        told = await server.connect().ask_yaml(b"stats")
        assert (told["current-jobs-ready"], told["current-connections"]) == (str(count), "1")


async def test_quit_with_more_behind_it(clock: MockClock) -> None:
    """`quit` answers what came before it, and nothing that came after."""
    async with serve() as server:
        wire = server.connect()
        await wire.send(b"use a\r\nquit\r\nuse b\r\n")
        await wire.expect(b"USING a\r\n")
        await wire.expect_closed()
        assert "b" not in server.broker.directory.tubes


async def test_quit_lets_large_replies_finish(clock: MockClock) -> None:
    """A client that quits before it has read everything gets all of it."""
    body = b"x" * 65_535
    async with serve() as server:
        wire = server.connect()
        await wire.put(body)
        await wire.send(b"peek 1\r\n" * 3 + b"quit\r\n")
        await trio.sleep(30)
        await wire.expect((b"FOUND 1 65535\r\n%b\r\n" % body) * 3)
        await wire.expect_closed()


async def test_half_close_lets_large_replies_finish(clock: MockClock) -> None:
    """So does one that shuts down its side, even if the replies do not fit into one go."""
    body = b"x" * 65_535
    async with serve() as server:
        wire = server.connect()
        await wire.put(body)
        await wire.send(b"peek 1\r\n" * 50)
        wire.finish_sending()
        await wire.expect((b"FOUND 1 65535\r\n%b\r\n" % body) * 50)
        await wire.expect_closed()


async def test_a_job_for_a_broken_connection_goes_on_at_once(
    clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If handing over fails in the very moment, the next one who waits gets the job then."""
    async with serve() as server:
        producer, broken, heir = server.connect(), server.connect(), server.connect()
        await producer.put(b"x", b"0 5 60")
        for wire in (broken, heir):
            await wire.send(b"reserve\r\n")
            await settle()
        send = Connection.send
        victim = server.connection(broken)

        def failing_send(self: Connection) -> bool:
            if self is victim:
                raise BrokenPipeError(errno.EPIPE, "Broken pipe")
            return send(self)

        monkeypatch.setattr(Connection, "send", failing_send)
        await heir.expect_at(5, b"RESERVED 1 1\r\nx\r\n")
