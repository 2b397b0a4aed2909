"""When syncs begin, and what waits for them: -f MS, -F, and a disk that does not keep up.

Time stands still in these tests unless they let it pass; syncs end when the test says so.
"""

from __future__ import annotations

import os
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import MockClock

from stalkd.journal import log as journal
from stalkd.journal.limits import MARK_NS, PRESUMED_SYNCED_NS
from stalkd.server import syncer
from stalkd.server.stalled import STALL_S
from support.inside import Rounds, Server, serve
from support.slowdisk import SlowDisk
from support.wire import AsyncWire, settle

if TYPE_CHECKING:
    from pathlib import Path

PUT = b"put 0 0 60 1\r\nx\r\n"

INTERVAL_S = 0.05
"""As with -f 50, the default."""

A_MOMENT_S = 0.0001


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


async def pass_time(clock: MockClock, seconds: float) -> None:
    """Let time pass, and everything happen that is due then."""
    clock.jump(seconds)
    await settle()


async def rest(clock: MockClock, disk: SlowDisk) -> None:
    """Wait until nothing is due any more, and count from there."""
    for _ in range(3):
        await pass_time(clock, 1)
        await disk.idle()
    disk.forget()


async def test_replies_leave_at_once(clock: MockClock, disk: SlowDisk, tmp_path: Path) -> None:
    """With -f 50 nobody waits for a sync."""
    async with serve(wal_dir=tmp_path) as server:
        wire = server.connect()
        disk.hang()
        await wire.send(PUT * 3 + b"reserve\r\ndelete 1\r\n")
        await wire.expect(b"INSERTED 1\r\nINSERTED 2\r\nINSERTED 3\r\nRESERVED 1 1\r\nx\r\n")
        await wire.expect(b"DELETED\r\n")
        disk.go_on()


async def test_a_single_put_is_synced_although_silence_follows(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    """At the latest after the time that -f says: beanstalkd syncs it with the next put."""
    async with serve(wal_dir=tmp_path) as server:
        wire = server.connect()
        await rest(clock, disk)
        await wire.put(b"x")
        assert not disk.began
        await pass_time(clock, INTERVAL_S + A_MOMENT_S)
        await disk.done(1)


@pytest.mark.parametrize("sync_ms", [1, 5, 50, 1_000, 60_000])
async def test_syncs_are_not_more_often_than_they_must(
    clock: MockClock, disk: SlowDisk, tmp_path: Path, sync_ms: int
) -> None:
    """A hundred puts in a row, spread over the time between two syncs, need one or two."""
    async with serve(wal_dir=tmp_path, sync_ms=sync_ms) as server:
        wire = server.connect()
        await rest(clock, disk)
        await pass_time(clock, 2 * sync_ms / 1000)
        await disk.idle()
        disk.forget()
        for _ in range(100):
            await wire.put(b"x")
            clock.jump(sync_ms / 1000 / 100)
        await pass_time(clock, sync_ms / 1000)
        await disk.busy()
        assert len(disk.began) <= 3


async def test_an_idle_daemon_does_nothing(
    clock: MockClock, disk: SlowDisk, rounds: Rounds, tmp_path: Path
) -> None:
    """Once all is on the disk and marked so, an hour passes without a sync or a round."""
    async with serve(wal_dir=tmp_path) as server:
        wire = server.connect()
        await wire.put(b"x")
        await rest(clock, disk)
        before, size = rounds.count, server_bytes(tmp_path)
        for _ in range(60):
            await pass_time(clock, 60)
        assert not disk.began
        assert rounds.since(before) == 0
        assert server_bytes(tmp_path) == size


def segments(directory: Path) -> list[Path]:
    return list(directory.glob("wal.*"))


def server_bytes(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


async def test_replies_wait_once_a_sync_takes_longer_than_that(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    """So that never more is at risk than what was acknowledged in that time."""
    async with serve(wal_dir=tmp_path) as server:
        wire, other = server.connect(), server.connect()
        await rest(clock, disk)
        disk.hang()
        assert await wire.put(b"x") == 1
        await pass_time(clock, INTERVAL_S - A_MOMENT_S)
        assert await wire.put(b"x") == 2
        await pass_time(clock, 2 * A_MOMENT_S)
        await disk.busy()
        await wire.send(PUT)
        await other.send(b"use x\r\n")
        await expect_nothing(wire, other)
        disk.end_one()
        await wire.expect(b"INSERTED 3\r\n")
        await other.expect(b"USING x\r\n")
        disk.go_on()


async def test_what_came_during_a_sync_that_hung_waits_for_the_next(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    """What was acknowledged too long ago must be on the disk before there is more of it."""
    async with serve(wal_dir=tmp_path) as server:
        wire = server.connect()
        await rest(clock, disk)
        disk.hang()
        await wire.put(b"x")
        await pass_time(clock, INTERVAL_S + A_MOMENT_S)
        await disk.busy()
        await wire.send(PUT)
        await settle()
        await pass_time(clock, 2 * INTERVAL_S)
        await wire.send(PUT)
        await expect_nothing(wire)
        disk.end_one()
        await disk.busy(2)
        await expect_nothing(wire)
        disk.end_one()
        await wire.expect(b"INSERTED 2\r\nINSERTED 3\r\n")
        disk.go_on()


async def test_without_syncs_nothing_waits(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    """With -F the system writes when it likes."""
    async with serve(wal_dir=tmp_path, sync_ms=None) as server:
        wire = server.connect()
        for _ in range(10):
            await wire.put(b"x")
            await pass_time(clock, 10)
        assert not disk.began
        told = await wire.ask_yaml(b"stats")
        assert (told["binlog-syncs"], told["binlog-state"]) == ("0", "ok")


async def test_without_syncs_a_segment_is_still_synced_before_the_one_it_replaces_goes(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    """-F must not lose what was on the disk for long."""
    async with serve(wal_dir=tmp_path, sync_ms=None, segment_bytes=32_768) as server:
        wire = server.connect()
        await wire.put(b"keep me", b"0 1000000 60")
        first = min(segments(tmp_path))
        disk.hang()
        for number in range(2, 200):
            assert await wire.put(b"x" * 1_000) == number
            assert await wire.ask(b"delete %d" % number) == b"DELETED"
        await disk.busy()
        assert first.exists()
        disk.go_on()
        await wire.put(b"x")
        await settle()
        assert not first.exists()


@pytest.fixture
def little_patience(monkeypatch: pytest.MonkeyPatch) -> int:
    """Bytes that may be unsynced before nothing more is run, instead of many."""
    limit = 100_000
    monkeypatch.setattr(journal, "BEHIND_BYTES", limit)
    return limit


async def fall_behind(server: Server, disk: SlowDisk, wire: AsyncWire, limit: int) -> int:
    """Send more than a hanging disk takes; return how many puts."""
    body = b"put 0 0 60 1000\r\n%b\r\n" % (b"x" * 1_000)
    count = 3 * limit // 1_000
    disk.hang()
    await wire.send(body)
    await disk.busy()
    await wire.send(body * (count - 1))
    await settle()
    return count


@pytest.mark.parametrize("sync_ms", [0, 50])
async def test_commands_wait_while_the_disk_is_behind(
    clock: MockClock,
    disk: SlowDisk,
    rounds: Rounds,
    tmp_path: Path,
    little_patience: int,
    sync_ms: int,
) -> None:
    """Memory does not fill with what cannot be acknowledged; nothing spins; it goes on at once."""
    async with serve(wal_dir=tmp_path, sync_ms=sync_ms) as server:
        wire, other = server.connect(), server.connect()
        await rest(clock, disk)
        if sync_ms:
            disk.hang()
            await wire.put(b"x")
            await pass_time(clock, INTERVAL_S + A_MOMENT_S)
        count = await fall_behind(server, disk, wire, little_patience)
        held = len(server.broker.jobs) * 1_000
        assert little_patience <= held < little_patience + 2 * 65_536 + 128_000
        await other.send(b"put 0 0 60 6\r\nunread\r\n")
        before, cpu = rounds.count, time.process_time()
        for _ in range(10):
            await pass_time(clock, 1)
        assert rounds.since(before) <= 20
        assert time.process_time() - cpu < 1
        assert all(job.body != b"unread" for job in server.broker.jobs.values())
        disk.go_on()
        for _ in range(count):
            assert (await wire.read_line()).startswith(b"INSERTED ")
        assert (await other.read_line()).startswith(b"INSERTED ")


async def test_time_goes_on_while_the_disk_is_behind(
    clock: MockClock, disk: SlowDisk, tmp_path: Path, little_patience: int
) -> None:
    """Leases end in time, although nobody is served."""
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        wire, worker = server.connect(), server.connect()
        await worker.put(b"x", b"0 0 5")
        assert await worker.ask(b"reserve") == b"RESERVED 1 1"
        await fall_behind(server, disk, wire, little_patience)
        assert server.broker.timeouts == 0
        await pass_time(clock, 6)
        assert server.broker.timeouts == 1
        disk.go_on()


async def test_who_reads_is_not_dropped_while_nobody_is_served(
    clock: MockClock, disk: SlowDisk, tmp_path: Path, little_patience: int
) -> None:
    """The time does not count in which the disk is behind; who is deaf is dropped after it."""
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        wire, reader, deaf = server.connect(), server.connect(), server.connect()
        await wire.put(b"x" * 60_000, b"5 1000 60")
        for each in (reader, deaf):
            await each.send(b"peek 1\r\n" * 500)
            await settle()
            assert server.connection(each).unsent is not None
        count = await fall_behind(server, disk, wire, little_patience)
        for _ in range(3):
            await pass_time(clock, STALL_S)
        assert not server.log.about("peer_does_not_read")
        disk.go_on()
        for _ in range(count):
            assert (await wire.read_line()).startswith(b"INSERTED ")
        for _ in range(500):
            await reader.expect(b"FOUND 1 60000\r\n%b\r\n" % (b"x" * 60_000))
        for _ in range(3):
            await pass_time(clock, STALL_S)
        assert len(server.log.about("peer_does_not_read")) == 1
        assert await reader.ask(b"use x") == b"USING x"


async def test_the_mark_of_the_last_sync_is_written_soon(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    """So that damage to what was synced can be told from a torn end, also in a quiet log."""
    async with serve(wal_dir=tmp_path) as server:
        wire = server.connect()
        await rest(clock, disk)
        await wire.put(b"x")
        await pass_time(clock, INTERVAL_S + A_MOMENT_S)
        await disk.done(1)
        written = server_records(await wire.ask_yaml(b"stats"))
        await pass_time(clock, MARK_NS / 1e9 + A_MOMENT_S)
        assert server_records(await wire.ask_yaml(b"stats")) == written + 1


def server_records(told: dict[str, str]) -> int:
    return int(told["binlog-records-written"])


async def test_without_syncs_no_mark_claims_what_was_written_just_now(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    """Nobody has synced it; the system writes it back within a minute."""
    async with serve(wal_dir=tmp_path, sync_ms=None) as server:
        wire = server.connect()
        await wire.put(b"x")
        log = server.daemon.shared.journal
        assert isinstance(log, journal.Log)
        mark = log.bounds.mark
        await pass_time(clock, PRESUMED_SYNCED_NS / 1e9 / 2)
        await wire.put(b"x")
        assert log.bounds.mark == mark
        await pass_time(clock, PRESUMED_SYNCED_NS / 1e9)
        await wire.put(b"x")
        await pass_time(clock, PRESUMED_SYNCED_NS / 1e9)
        await wire.put(b"x")
        assert log.bounds.mark > mark


async def test_stopping_leaves_all_on_the_disk(
    clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what -f would have synced later; and nothing but data is left in the segment."""
    synced: list[int] = []
    fdatasync = os.fdatasync

    def noting(fd: int) -> None:
        synced.append(os.fstat(fd).st_ino)
        fdatasync(fd)

    monkeypatch.setattr(os, "fdatasync", noting)
    async with serve(wal_dir=tmp_path, sync_ms=60_000) as server:
        wire = server.connect()
        await wire.put(b"x")
        synced.clear()
    segment = max(segments(tmp_path))
    assert segment.stat().st_ino in synced
    assert segment.read_bytes().rstrip(b"\0")
    assert segment.stat().st_size < 1_000


async def test_no_wake_up_is_left_behind(
    clock: MockClock,
    disk: SlowDisk,
    rounds: Rounds,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread that syncs may be interrupted at any point; the daemon is idle afterwards."""

    def slow_write(fd: int, data: bytes) -> int:
        time.sleep(0.02)
        written = os.write(fd, data)
        time.sleep(0.02)
        return written

    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        wire, busy = server.connect(), server.connect()
        slow = SimpleNamespace(**{**vars(os), "write": slow_write})
        monkeypatch.setattr(syncer, "os", slow)
        disk.hang()
        await wire.send(PUT)
        await disk.busy()
        disk.go_on()
        while not wire.keep_now(100):
            await busy.send(b"\r\n")
            await trio.lowlevel.checkpoint()
        await settle()
        before = rounds.count
        await settle()
        assert rounds.since(before) <= 1
