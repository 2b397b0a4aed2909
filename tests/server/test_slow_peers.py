"""Peers that send without reading, or read slowly: they cost little, and only themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from stalkd.protocol.limits import BACKLOG_LIMIT, OUTPUT_HIGH_WATER
from stalkd.server.connection import READ_SIZE
from stalkd.server.stalled import STALL_S
from support.inside import Rounds, Server, serve
from support.wire import AsyncWire, settle

if TYPE_CHECKING:
    from trio.testing import MockClock

BODY = b"x" * 65_535
FOUND = b"FOUND 1 65535\r\n%b\r\n" % BODY
RESERVED = b"RESERVED 1 65535\r\n%b\r\n" % BODY

FLOOD = 16 << 20
"""More than all buffers between client and server hold together."""

MOST_OUTPUT = OUTPUT_HIGH_WATER + len(FOUND) + READ_SIZE * len(b"UNKNOWN_COMMAND\r\n") // 2
"""Replies in memory at most: large ones up to the mark and one over it, and the short ones to all
that is read at once."""


def kept_for(server: Server, wire: AsyncWire) -> int:
    """Bytes of replies that the server keeps for a client."""
    connection = server.connection(wire)
    return len(connection.unsent or b"") + sum(map(len, connection.session.output))


def unread_by(server: Server, wire: AsyncWire) -> int:
    """Bytes of commands that the server has read and not yet run."""
    return len(server.connection(wire).session.backlog)


@pytest.mark.parametrize(
    "line",
    [b"peek 1\r\n", b"list-tubes\r\n", b"stats\r\n", b"\r\n"],
    ids=["peek", "list", "stats", "bad"],
)
async def test_replies_to_a_peer_that_never_reads_are_bounded(
    clock: MockClock, rounds: Rounds, line: bytes
) -> None:
    """Whatever it asks for, however often: it is not read further, and nothing spins."""
    async with serve() as server:
        deaf, other = server.connect(), server.connect()
        await deaf.put(BODY)
        taken = await deaf.stuff(line, FLOOD)
        assert taken < FLOOD
        assert 0 < kept_for(server, deaf) <= MOST_OUTPUT
        assert unread_by(server, deaf) <= BACKLOG_LIMIT + READ_SIZE
        before, kept = rounds.count, (kept_for(server, deaf), unread_by(server, deaf))
        await trio.sleep(STALL_S - 1)
        await deaf.stuff(line, FLOOD)
        assert (kept_for(server, deaf), unread_by(server, deaf)) == kept
        assert rounds.since(before) <= 1
        assert await other.ask(b"use x") == b"USING x"


async def test_a_peer_that_never_reads_is_disconnected(clock: MockClock) -> None:
    """After a minute its jobs go to others; until then, and after it, these are served as ever."""
    async with serve() as server:
        deaf, other, heir = server.connect(), server.connect(), server.connect()
        await deaf.put(BODY, b"0 0 10000")
        await deaf.send(b"reserve\r\n")
        await deaf.expect(RESERVED)
        await heir.send(b"reserve\r\n")
        await deaf.stuff(b"peek 1\r\n", FLOOD)
        for second in range(STALL_S):
            assert await other.ask(b"use x") == b"USING x"
            assert trio.current_time() == pytest.approx(second)
            await trio.sleep(1 if second < STALL_S - 1 else 0.999)
        assert (await other.ask_yaml(b"stats-job 1"))["state"] == "reserved"
        await heir.expect_at(STALL_S, RESERVED)
        assert len(server.reactor) == 2
        (line,) = server.log.about("peer_does_not_read")
        assert f"peer=127.0.0.1:{deaf.socket.getsockname()[1]} " in line


async def test_the_job_of_a_stalled_peer_reaches_one_who_pipelines(clock: MockClock) -> None:
    """Who waits for that job with further commands behind gets all replies at once."""
    async with serve() as server:
        deaf, heir = server.connect(), server.connect()
        await deaf.put(BODY, b"0 0 10000")
        await deaf.send(b"reserve\r\n")
        await deaf.expect(RESERVED)
        await heir.send(b"reserve\r\ndelete 1\r\nuse x\r\n")
        await deaf.stuff(b"peek 1\r\n", FLOOD)
        await heir.expect_at(STALL_S, RESERVED)
        await heir.expect_at(STALL_S, b"DELETED\r\nUSING x\r\n")


async def test_many_peers_that_never_read(clock: MockClock) -> None:
    """Each is disconnected a minute after it stopped taking anything; the log has one line."""
    async with serve() as server:
        producer = server.connect()
        await producer.put(BODY)
        for _ in range(3):
            deaf = server.connect()
            await deaf.stuff(b"peek 1\r\n", FLOOD)
            await trio.sleep(10)
        for left, when in ((4, 59), (3, 61), (2, 71), (1, 81)):
            await trio.sleep_until(when)
            assert len(server.reactor) == left
        assert len(server.log.about("peer_does_not_read")) == 1


@pytest.mark.parametrize("size", [256 << 10, 1 << 20], ids=["256 KiB", "1 MiB"])
async def test_a_slow_reader_stays(clock: MockClock, size: int) -> None:
    """Whoever reads a little every 30 s is slow, not hung: it stays, and gets everything."""
    asked = 100
    async with serve() as server:
        slow = server.connect()
        await slow.put(BODY)
        await slow.send(b"peek 1\r\n" * asked)
        for _ in range(asked * len(FOUND) // size):
            await trio.sleep(30)
            await slow.sip(size, clock)
        await slow.expect(FOUND * asked)
        assert await slow.ask(b"use x") == b"USING x"


async def test_a_slow_reader_of_one_large_body_stays(clock: MockClock) -> None:
    """A reply that takes long is progress as long as some of it is taken."""
    size = 24 << 20
    async with serve(max_job_size=size) as server:
        slow = server.connect()
        await slow.put(b"x" * size)
        await slow.send(b"peek 1\r\n")
        for _ in range(size >> 21):
            await trio.sleep(STALL_S - 1)
            await slow.sip(2 << 20, clock)
        await slow.expect(b"FOUND 1 %d\r\n%b\r\n" % (size, b"x" * size))
        assert await slow.ask(b"use x") == b"USING x"


async def test_a_reader_that_pauses_for_less_than_a_minute_stays(clock: MockClock) -> None:
    """Time counts from the last progress, not from the first trouble."""
    asked = 300
    async with serve() as server:
        moody = server.connect()
        await moody.put(BODY)
        for _ in range(3):
            await moody.send(b"peek 1\r\n" * asked)
            await trio.sleep(STALL_S - 1)
            for _ in range(asked):
                await moody.expect(FOUND)


async def test_input_behind_a_waiting_reserve_is_bounded(clock: MockClock, rounds: Rounds) -> None:
    """It stays with the client; when the reserve is answered, every command gets its reply."""
    line = b"use %b\r\n" % (b"x" * 200)
    async with serve() as server:
        waiting, other = server.connect(), server.connect()
        await waiting.send(b"reserve\r\n")
        await settle()
        taken = await waiting.stuff(line, FLOOD)
        assert taken < FLOOD
        assert unread_by(server, waiting) <= BACKLOG_LIMIT + READ_SIZE
        before = rounds.count
        await trio.sleep(10 * STALL_S)
        assert rounds.since(before) == 0
        await other.put(b"")
        await waiting.expect(b"RESERVED 1 0\r\n\r\n")
        for _ in range(taken // len(line)):
            await waiting.expect(b"USING %b\r\n" % (b"x" * 200))
        assert await waiting.ask(line[taken % len(line) : -2]) == b"USING %b" % (b"x" * 200)


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_peer_with_much_behind_a_waiting_reserve_may_go(clock: MockClock, how: str) -> None:
    """Its end is noticed although it is not read any more."""
    async with serve() as server:
        waiting, other = server.connect(), server.connect()
        await waiting.send(b"reserve\r\n")
        await settle()
        await waiting.stuff(b"use x\r\n", FLOOD)
        getattr(waiting, how)()
        await settle()
        await other.put(b"")
        assert (await other.ask_yaml(b"stats"))["current-connections"] == "1"
        assert await other.ask(b"reserve") == b"RESERVED 1 0"


async def test_short_replies_that_do_not_fit_at_once(clock: MockClock) -> None:
    """A client that reads late gets all of them, however many they are."""
    count = 400_000
    async with serve() as server:
        wire = server.connect()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.send, b"use x\r\n" * count)
            await trio.sleep(1)
            for _ in range(count // 1_000):
                await wire.expect(b"USING x\r\n" * 1_000)


async def test_input_of_a_client_that_reads_large_replies_is_bounded(clock: MockClock) -> None:
    """What it sends is not read faster than the replies can leave."""
    count = 60_000
    body = b"x" * 1_000
    most = 0
    async with serve() as server, trio.open_nursery() as nursery:
        wire = server.connect()
        await wire.put(body)
        nursery.start_soon(wire.send, b"peek 1\r\n" * count)
        for _ in range(count // 100):
            await wire.expect((b"FOUND 1 1000\r\n%b\r\n" % body) * 100)
            most = max(most, unread_by(server, wire))
    assert most <= BACKLOG_LIMIT + READ_SIZE
