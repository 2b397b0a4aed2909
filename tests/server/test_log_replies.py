"""With -f 0 a reply leaves when what it says is on the disk, and in its order.

Time stands still in these tests; syncs end when the test says so.
"""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from trio.testing import MockClock

from stalkd.protocol.limits import OUTPUT_HIGH_WATER
from support.inside import Rounds, Server, serve
from support.slowdisk import SlowDisk
from support.wire import AsyncWire, settle

if TYPE_CHECKING:
    from pathlib import Path

BODY = b"x" * 65_535

FLOOD = 16 << 20
"""More than all buffers between client and server hold together."""

PUT = b"put 0 0 60 1\r\nx\r\n"


@pytest.fixture
def clock() -> MockClock:
    """Time stands still unless a test lets it pass."""
    return MockClock()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> SlowDisk:
    return SlowDisk(monkeypatch)


async def expect_nothing(*wires: AsyncWire) -> None:
    """All that can happen now has happened, and nothing has come."""
    await settle()
    for wire in wires:
        wire.keep_now(100)
        assert wire.received == b""


def jobs(server: Server) -> int:
    """How many jobs the daemon has, whether on the disk or not."""
    return len(server.broker.jobs)


@pytest.mark.parametrize(
    "command",
    [
        b"put 0 0 60 1\r\nx\r\n",
        b"put 0 60 60 1\r\nx\r\n",
        b"delete 1\r\n",
        b"release 1 0 0\r\n",
        b"release 1 0 60\r\n",
        b"bury 1 0\r\n",
        b"kick-job 2\r\n",
        b"kick 1\r\n",
        b"pause-tube default 60\r\n",
    ],
    ids=lambda command: command.split(b"\r\n")[0].decode(),
)
async def test_what_must_be_remembered_is_answered_when_it_is_on_the_disk(
    clock: MockClock, disk: SlowDisk, tmp_path: Path, command: bytes
) -> None:
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        wire = server.connect()
        await wire.send(PUT + b"put 5 60 60 1\r\ny\r\nreserve\r\n")
        await wire.expect(b"INSERTED 1\r\nINSERTED 2\r\nRESERVED 1 1\r\nx\r\n")
        disk.hang()
        await wire.send(command)
        await expect_nothing(wire)
        disk.go_on()
        assert await wire.read_line() in {
            *(b"INSERTED 3\r\n", b"DELETED\r\n", b"RELEASED\r\n", b"BURIED\r\n"),
            *(b"KICKED\r\n", b"KICKED 1\r\n", b"PAUSED\r\n"),
        }


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (b"reserve\r\n", b"RESERVED 2 1\r\nx\r\n"),
        (b"reserve-job 2\r\n", b"RESERVED 2 1\r\nx\r\n"),
        (b"touch 1\r\n", b"TOUCHED\r\n"),
        (b"peek 1\r\n", b"FOUND 1 1\r\nx\r\n"),
        (b"delete 99\r\n", b"NOT_FOUND\r\n"),
        (b"use x\r\n", b"USING x\r\n"),
    ],
    ids=lambda text: text.split(b"\r\n")[0].decode(),
)
async def test_what_need_not_be_remembered_is_answered_at_once(
    clock: MockClock, disk: SlowDisk, tmp_path: Path, command: bytes, reply: bytes
) -> None:
    """If the count of reserves is lost in a power cut, nothing is."""
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        wire = server.connect()
        await wire.send(PUT * 2 + b"reserve\r\n")
        await wire.expect(b"INSERTED 1\r\nINSERTED 2\r\nRESERVED 1 1\r\nx\r\n")
        disk.hang()
        await wire.send(command)
        await wire.expect(reply)
        disk.go_on()


async def test_a_reserve_is_synced_soon_although_nobody_waits_for_it(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        wire = server.connect()
        await wire.put(b"x")
        await settle()
        clock.jump(1)
        await settle()
        disk.forget()
        assert await wire.ask(b"reserve") == b"RESERVED 1 1"
        clock.jump(0.049)
        await settle()
        assert not disk.began
        clock.jump(0.002)
        await disk.done(1)


async def test_a_waiting_client_gets_a_job_when_it_is_on_the_disk(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        producer, worker = server.connect(), server.connect()
        await worker.send(b"reserve\r\n")
        await settle()
        disk.hang()
        await producer.send(PUT)
        await expect_nothing(producer, worker)
        disk.go_on()
        await worker.expect(b"RESERVED 1 1\r\nx\r\n")
        await producer.expect(b"INSERTED 1\r\n")


async def test_others_see_only_what_is_on_the_disk(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    """Their commands run meanwhile, but what they are told may not be untrue after a power cut."""
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        producer, other = server.connect(), server.connect()
        disk.hang()
        await producer.send(PUT)
        await disk.busy()
        await other.send(b"peek 1\r\nreserve\r\n")
        await expect_nothing(producer, other)
        assert server.broker.queues.reserved == 1
        disk.end_one()
        await other.expect(b"FOUND 1 1\r\nx\r\nRESERVED 1 1\r\nx\r\n")
        await producer.expect(b"INSERTED 1\r\n")
        assert len(disk.began) == 1
        disk.go_on()


async def test_one_sync_covers_all_that_came_during_the_one_before(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    count = 50
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        wires = [server.connect() for _ in range(count)]
        disk.hang()
        await wires[0].send(PUT)
        await disk.busy()
        for wire in wires[1:]:
            await wire.send(PUT)
        await expect_nothing(*wires)
        assert jobs(server) == count
        disk.end_one()
        await wires[0].expect(b"INSERTED 1\r\n")
        await expect_nothing(*wires)
        await disk.busy(2)
        disk.end_one()
        numbers = [int((await wire.read_line()).split()[1]) for wire in wires[1:]]
        assert sorted(numbers) == list(range(2, count + 1))
        await settle()
        assert len(disk.began) == 2
        disk.go_on()
        told = await wires[0].ask_yaml(b"stats")
        assert told["binlog-syncs"] == "2"
        assert float(told["binlog-records-per-sync"]) >= count / 2


async def test_replies_keep_their_order(clock: MockClock, disk: SlowDisk, tmp_path: Path) -> None:
    """However they are spread over rounds and syncs, with and without anything to remember."""
    count = 40
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        wire = server.connect()
        disk.hang()
        expected = b""
        for number in range(1, count + 1):
            await wire.send(PUT + b"use t%d\r\n" % number)
            await settle()
            if number % 3 == 0:
                disk.end_one()
            await wire.send(b"peek %d\r\n" % number)
            expected += b"INSERTED %d\r\nUSING t%d\r\nFOUND %d 1\r\nx\r\n" % ((number,) * 3)
        disk.go_on()
        await wire.expect(expected)
        await expect_nothing(wire)


async def test_no_reply_slips_through_behind_a_large_one(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    """A body is sent when a sync ends; what came meanwhile still waits for its own."""
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        wire = server.connect()
        disk.hang()
        await wire.send(PUT + b"reserve\r\n")
        for number in range(2, 10):
            await disk.busy(number - 1)
            await wire.send(PUT)
            await settle()
            disk.end_one()
            await wire.expect(b"INSERTED %d\r\n" % (number - 1))
            if number == 2:
                await wire.expect(b"RESERVED 1 1\r\nx\r\n")
            await expect_nothing(wire)
        disk.go_on()
        await wire.expect(b"INSERTED 9\r\n")


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_client_that_leaves_while_its_reply_is_held(
    clock: MockClock, disk: SlowDisk, tmp_path: Path, how: str
) -> None:
    """Its put counts; the reply is dropped, and nobody who comes after it gets it."""
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        gone, other = server.connect(), server.connect()
        disk.hang()
        await gone.send(PUT * 3)
        await disk.busy()
        getattr(gone, how)()
        await settle()
        heirs = [server.connect() for _ in range(5)]
        for heir in heirs:
            await heir.send(b"use x\r\n")
        await settle()
        disk.go_on()
        for heir in heirs:
            await heir.expect(b"USING x\r\n")
        await expect_nothing(*heirs)
        assert (await other.ask_yaml(b"stats"))["current-jobs-ready"] == "3"


@pytest.mark.parametrize("last", [b"quit\r\n", b""], ids=["quit", "half-close"])
async def test_the_last_reply_is_held_too(
    clock: MockClock, disk: SlowDisk, rounds: Rounds, tmp_path: Path, last: bytes
) -> None:
    """Whoever ends its side behind a put is answered when it is on the disk; nobody spins."""
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        wire = server.connect()
        disk.hang()
        await wire.send(PUT + last)
        wire.finish_sending()
        await disk.busy()
        await settle()
        before = rounds.count
        await expect_nothing(wire)
        assert rounds.since(before) <= 1
        disk.go_on()
        await wire.expect(b"INSERTED 1\r\n")
        await wire.expect_closed()


async def test_half_close_while_a_reserve_waits_behind_a_held_reply(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    """All that was said before is answered, in order, and then the connection ends."""
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        wire = server.connect()
        await wire.send(b"watch empty\r\nignore default\r\n")
        await wire.expect(b"WATCHING 2\r\nWATCHING 1\r\n")
        disk.hang()
        await wire.send(PUT + b"reserve\r\n")
        await disk.busy()
        wire.finish_sending()
        await expect_nothing(wire)
        disk.go_on()
        await wire.expect(b"INSERTED 1\r\nTIMED_OUT\r\n")
        await wire.expect_closed()


async def test_large_replies_are_held(clock: MockClock, disk: SlowDisk, tmp_path: Path) -> None:
    """More than the peer's buffers take at once, to a peer that does not read at first."""
    count = 100
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        wire, slow = server.connect(), server.connect()
        await wire.put(BODY)
        disk.hang()
        await wire.send(PUT)
        await disk.busy()
        await slow.send(b"peek 1\r\n" * count + PUT)
        await expect_nothing(wire, slow)
        disk.go_on()
        await wire.expect(b"INSERTED 2\r\n")
        await settle()
        await slow.expect(b"FOUND 1 65535\r\n%b\r\n" % BODY * count)
        await slow.expect(b"INSERTED 3\r\n")


async def test_a_peer_that_has_not_taken_all_gets_the_rest_before_what_was_held(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    count = 100
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        slow = server.connect()
        await slow.put(BODY)
        await slow.send(b"peek 1\r\n" * count + PUT * 2)
        await settle()
        disk.hang()
        await slow.expect(b"FOUND 1 65535\r\n%b\r\n" % BODY * count)
        disk.go_on()
        await slow.expect(b"INSERTED 2\r\nINSERTED 3\r\n")


async def test_time_goes_on_while_a_sync_hangs(
    clock: MockClock, disk: SlowDisk, rounds: Rounds, tmp_path: Path
) -> None:
    """Leases and waits end in time, even if nobody can be told yet; nobody spins."""
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        wire, waiting = server.connect(), server.connect()
        await wire.send(b"put 0 0 5 1\r\nx\r\nreserve\r\n")
        await wire.expect(b"INSERTED 1\r\nRESERVED 1 1\r\nx\r\n")
        await waiting.send(b"watch empty\r\nignore default\r\nreserve-with-timeout 3\r\n")
        await waiting.expect(b"WATCHING 2\r\nWATCHING 1\r\n")
        disk.hang()
        await wire.send(PUT)
        await disk.busy()
        before = rounds.count
        clock.jump(10)
        await expect_nothing(wire, waiting)
        assert server.broker.timeouts == 1
        assert rounds.since(before) < 10
        disk.go_on()
        await waiting.expect(b"TIMED_OUT\r\n")
        await wire.expect(b"INSERTED 2\r\n")


@pytest.mark.parametrize("line", [b"use x\r\n", b"peek 1\r\n", b"\r\n"], ids=["use", "peek", "bad"])
async def test_replies_that_cannot_be_sent_yet_are_bounded(
    clock: MockClock, disk: SlowDisk, rounds: Rounds, tmp_path: Path, line: bytes
) -> None:
    """Whatever a client asks while the disk hangs, its commands are not read without end."""
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        producer, flood = server.connect(), server.connect()
        await producer.put(BODY)
        disk.hang()
        await producer.send(PUT)
        await disk.busy()
        await settle()
        taken = await flood.stuff(line, FLOOD)
        session = server.connection(flood).session
        assert sum(map(len, session.output)) <= OUTPUT_HIGH_WATER + 4 * len(BODY)
        assert taken < FLOOD
        before = rounds.count
        await settle()
        assert rounds.since(before) <= 1
        disk.go_on()
        await producer.expect(b"INSERTED 2\r\n")
        assert await flood.read_line() in {
            *(b"USING x\r\n", b"FOUND 1 65535\r\n", b"UNKNOWN_COMMAND\r\n"),
        }


async def test_stopping_sends_the_replies_that_are_held(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    """Also those to commands that nobody has read yet: all are run, synced and answered."""
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        wire, late = AsyncWire(server.address), AsyncWire(server.address)
        await late.send(b"use x\r\n")
        await late.expect(b"USING x\r\n")
        disk.hang()
        await wire.send(PUT)
        await disk.busy()
        late.socket.send(PUT * 1_000)  # Nobody else has a turn now.
        timer = threading.Timer(0.05, disk.go_on)
        timer.start()
    with closing(wire), closing(late):
        await wire.expect(b"INSERTED 1\r\n")
        await late.expect(b"".join(b"INSERTED %d\r\n" % number for number in range(2, 1_002)))
        await wire.expect_closed()
        await late.expect_closed()
    async with serve(wal_dir=tmp_path) as server:
        assert jobs(server) == 1_001


async def test_replies_that_were_held_are_traced(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    """-VV shows all that is said, when it is said."""
    async with serve(wal_dir=tmp_path, sync_ms=0, verbosity=2) as server:
        wire = server.connect()
        disk.hang()
        await wire.send(PUT)
        await disk.busy()
        await settle()
        assert "INSERTED" not in server.log.text
        disk.go_on()
        await wire.expect(b"INSERTED 1\r\n")
        assert server.log.text.count(" replied ") == 1
