"""Commands and replies over real sockets: what every client relies on."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import pytest

from support.inside import listening, serve
from support.wire import settle

if TYPE_CHECKING:
    from trio.testing import MockClock

LIFE = [
    (b"use mail\r\n", b"USING mail\r\n"),
    (b"put 10 0 60 5\r\nhello\r\n", b"INSERTED 1\r\n"),
    (b"peek-ready\r\n", b"FOUND 1 5\r\nhello\r\n"),
    (b"reserve-with-timeout 0\r\n", b"TIMED_OUT\r\n"),
    (b"watch mail\r\n", b"WATCHING 2\r\n"),
    (b"reserve\r\n", b"RESERVED 1 5\r\nhello\r\n"),
    (b"touch 1\r\n", b"TOUCHED\r\n"),
    (b"release 1 5 0\r\n", b"RELEASED\r\n"),
    (b"reserve-job 1\r\n", b"RESERVED 1 5\r\nhello\r\n"),
    (b"bury 1 7\r\n", b"BURIED\r\n"),
    (b"peek-buried\r\n", b"FOUND 1 5\r\nhello\r\n"),
    (b"kick 10\r\n", b"KICKED 1\r\n"),
    (b"reserve\r\n", b"RESERVED 1 5\r\nhello\r\n"),
    (b"release 1 5 100\r\n", b"RELEASED\r\n"),
    (b"kick-job 1\r\n", b"KICKED\r\n"),
    (b"reserve\r\n", b"RESERVED 1 5\r\nhello\r\n"),
    (b"delete 1\r\n", b"DELETED\r\n"),
    (b"delete 1\r\n", b"NOT_FOUND\r\n"),
    (b"ignore mail\r\n", b"WATCHING 1\r\n"),
    (b"ignore default\r\n", b"NOT_IGNORED\r\n"),
    (b"nonsense\r\n", b"UNKNOWN_COMMAND\r\n"),
    (b"delete x\r\n", b"BAD_FORMAT\r\n"),
    (b"put 0 0 60 70000\r\n" + b"x" * 70_000 + b"\r\n", b"JOB_TOO_BIG\r\n"),
    (b"list-tube-used\r\n", b"USING mail\r\n"),
]
"""A conversation in which a job goes through every state, and no command waits."""

ALL_COMMANDS = b"".join(said for said, _ in LIFE)
ALL_REPLIES = b"".join(heard for _, heard in LIFE)


async def test_life_of_a_job(clock: MockClock) -> None:
    """One command after the other gets its reply, in every state of a job; then `quit` closes."""
    async with serve() as server:
        wire = server.connect()
        for said, heard in LIFE:
            await wire.send(said)
            await wire.expect(heard)
        await wire.send(b"quit\r\n")
        await wire.expect_closed()


async def test_pipelined(clock: MockClock) -> None:
    """Commands sent together get the same replies, in the same order."""
    async with serve() as server:
        wire = server.connect()
        await wire.send(ALL_COMMANDS + b"quit\r\nlist-tubes\r\n")
        await wire.expect(ALL_REPLIES)
        await wire.expect_closed()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_split_over_packets(clock: MockClock, size: int) -> None:
    """Where packets begin and end changes nothing."""
    said = ALL_COMMANDS.replace(b"x" * 70_000, b"x" * 300).replace(b" 70000", b" 300")
    async with serve(max_job_size=299) as server:
        wire = server.connect()
        await wire.send_pieces(said, size)
        await wire.expect(ALL_REPLIES)


async def test_jobs_pass_between_clients(clock: MockClock) -> None:
    """What one client puts another gets; only the holder can finish it."""
    async with serve() as server:
        producer, worker = server.connect(), server.connect()
        number = await producer.put(b"for you")
        await worker.send(b"reserve\r\n")
        await worker.expect(b"RESERVED %d 7\r\nfor you\r\n" % number)
        assert await producer.ask(b"delete %d" % number) == b"NOT_FOUND"
        assert await worker.ask(b"delete %d" % number) == b"DELETED"


async def test_a_put_answers_a_waiting_reserve(clock: MockClock) -> None:
    """A waiting worker hears nothing until there is a job, and then gets it without delay."""
    async with serve() as server:
        producer, worker = server.connect(), server.connect()
        await worker.send(b"reserve\r\n")
        await worker.expect_silence(3_600)
        number = await producer.put(b"at last")
        await worker.expect_at(3_600, b"RESERVED %d 7\r\nat last\r\n" % number)


async def test_who_waited_longest_is_served_first(clock: MockClock) -> None:
    """Waiting workers get jobs in the order in which they began to wait."""
    async with serve() as server:
        producer = server.connect()
        workers = [server.connect() for _ in range(5)]
        for worker in reversed(workers):
            await worker.send(b"reserve\r\n")
            await settle()
        for worker in reversed(workers):
            number = await producer.put(b"")
            await worker.expect(b"RESERVED %d 0\r\n\r\n" % number)


async def test_commands_behind_a_waiting_reserve_wait_too(clock: MockClock) -> None:
    """They run when the reserve has been answered, then all at once, whoever else is there."""
    async with serve() as server:
        producer, worker = server.connect(), server.connect()
        await worker.send(b"reserve\r\ndelete 1\r\nuse x\r\nreserve\r\ndelete 2\r\nuse y\r\n")
        await worker.expect_silence()
        await producer.put(b"one")
        await worker.expect(b"RESERVED 1 3\r\none\r\nDELETED\r\nUSING x\r\n")
        await worker.expect_silence()
        await producer.put(b"two")
        await worker.expect(b"RESERVED 2 3\r\ntwo\r\nDELETED\r\nUSING y\r\n")


async def test_a_put_behind_a_waiting_reserve_does_not_feed_it(clock: MockClock) -> None:
    """Commands of one connection never overtake each other."""
    async with serve() as server:
        wire = server.connect()
        await wire.send(b"reserve-with-timeout 10\r\nput 0 0 60 1\r\nx\r\nreserve\r\n")
        await wire.expect_at(10, b"TIMED_OUT\r\n")
        await wire.expect(b"INSERTED 1\r\nRESERVED 1 1\r\nx\r\n")


async def test_unix_socket(clock: MockClock) -> None:
    """The same conversation works on a Unix socket."""
    with tempfile.TemporaryDirectory() as directory, listening(f"{directory}/s") as listener:
        async with serve(listener) as server:
            wire = server.connect()
            await wire.send(ALL_COMMANDS)
            await wire.expect(ALL_REPLIES)


async def test_many_large_replies_to_one_packet(clock: MockClock) -> None:
    """A client that asks for 100 large bodies at once, and reads them, gets all of them."""
    body = b"x" * 65_535
    async with serve() as server:
        wire = server.connect()
        await wire.put(body)
        await wire.send(b"peek 1\r\n" * 100)
        for _ in range(100):
            await wire.expect(b"FOUND 1 65535\r\n%b\r\n" % body)
