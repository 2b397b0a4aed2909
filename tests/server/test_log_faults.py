"""A disk that fails or is full: what the clients and the operator are told, and what goes on.

Time stands still in these tests unless they let it pass; syncs end when the test says so.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import MockClock

from stalkd.broker.broker import Broker
from stalkd.broker.chores import SMALL_STEP
from stalkd.config import Config
from stalkd.journal.files import Directory
from stalkd.journal.limits import NEWS_NS, RETRY_NS
from stalkd.journal.replay import Replay
from stalkd.journal.segment import segment_name
from stalkd.server.daemon import Daemon
from stalkd.server.faults import LogLostError
from support.inside import LIMIT, LogBook, Rounds, Server, listening, serve
from support.slowdisk import EIO, ENOSPC, SlowDisk
from support.wire import AsyncWire, settle

if TYPE_CHECKING:
    from pathlib import Path

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


async def pass_time(clock: MockClock, seconds: float) -> None:
    """Let time pass, and everything happen that is due then."""
    clock.jump(seconds)
    await settle()


def no_new_files(monkeypatch: pytest.MonkeyPatch, error: OSError = EIO) -> None:
    """Let nobody begin a new segment any more."""

    def create(*_: object) -> None:
        raise error

    monkeypatch.setattr(Directory, "create", create)


async def state(wire: AsyncWire) -> str:
    return (await wire.ask_yaml(b"stats"))["binlog-state"]


# -- a sync fails, a new segment can be begun -----------------------------------------------------


@pytest.mark.parametrize("sync_ms", [0, 50])
async def test_after_a_failed_sync_the_log_goes_on_in_a_new_segment(
    clock: MockClock, disk: SlowDisk, tmp_path: Path, sync_ms: int
) -> None:
    """Nothing is lost, nobody notices, and the operator has two lines."""
    async with serve(wal_dir=tmp_path, sync_ms=sync_ms) as server:
        wire = server.connect()
        await wire.put(b"before")
        await pass_time(clock, 1)
        before = (await wire.ask_yaml(b"stats"))["binlog-current-index"]
        disk.forget()
        disk.hang()
        disk.fail()
        await wire.send(PUT + b"reserve\r\nbury 1 0\r\n")
        await settle()
        await pass_time(clock, 0.06)
        await disk.busy()
        disk.end_one()
        await settle()
        disk.fail(None)
        disk.go_on()
        await wire.expect(b"INSERTED 2\r\nRESERVED 1 6\r\nbefore\r\nBURIED\r\n")
        await pass_time(clock, 1)
        told = await wire.ask_yaml(b"stats")
        assert told["binlog-state"] == "ok"
        assert int(told["binlog-current-index"]) == int(before) + 1
        (line,) = server.log.about("log_segment_failed")
        assert "Input/output error" in line
        assert f"segment={before} " in line
        assert server.log.about("log_goes_on") == [f"WARNING log_goes_on segment={int(before) + 1}"]
    async with serve(wal_dir=tmp_path) as server:
        wire = server.connect()
        assert (await wire.ask_yaml(b"stats-job 1"))["state"] == "buried"
        assert (await wire.ask_yaml(b"stats-job 2"))["state"] == "ready"
        assert server.log.about("log_repaired") == []


async def test_replies_are_held_until_what_failed_is_on_the_disk(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    """A sync that failed vouches for nothing, the next good one for all."""
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        wire, other = server.connect(), server.connect()
        disk.hang()
        disk.fail()
        await wire.send(PUT)
        await disk.busy()
        await other.send(PUT)
        await settle()
        disk.end_one()
        await disk.busy(2)
        disk.fail(None)
        await expect_nothing(wire, other)
        disk.end_one()
        await wire.expect(b"INSERTED 1\r\n")
        await other.expect(b"INSERTED 2\r\n")
        disk.go_on()


async def test_a_write_that_fails_while_a_sync_runs(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    """What that sync covers is certain; what could not be written waits for the one after it."""
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        wire, other = server.connect(), server.connect()
        disk.hang()
        await wire.send(PUT)
        await disk.busy()
        disk.fail_file("wal.0000000001")
        await other.send(PUT)
        await expect_nothing(wire, other)
        disk.end_one()
        await wire.expect(b"INSERTED 1\r\n")
        await pass_time(clock, 2 * RETRY_NS / 1e9)
        await disk.busy(2)
        assert len(server.log.about("log_segment_failed")) == 1
        await expect_nothing(wire, other)
        disk.end_one()
        await other.expect(b"INSERTED 2\r\n")
        disk.go_on()


# -- a sync fails, and there is nothing to go on with ---------------------------------------------


async def lose_log(
    server: Server,
    disk: SlowDisk,
    monkeypatch: pytest.MonkeyPatch,
    *wires: AsyncWire,
    line: bytes = PUT,
) -> None:
    """Let a put of each of these fail to get on the disk, and all there is to do about it."""
    disk.hang()
    disk.fail()
    no_new_files(monkeypatch)
    for wire in wires:
        await wire.send(line)
    await disk.busy()
    await settle()
    disk.go_on()
    with trio.fail_after(5):
        while not server.log.about("log_failed"):
            await settle()


async def test_a_lost_log_is_told_to_the_operator(
    clock: MockClock, disk: SlowDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        wire, unlucky = server.connect(), server.connect()
        await wire.put(b"x")
        await lose_log(server, disk, monkeypatch, unlucky)
        (line,) = server.log.about("log_failed")
        assert line.startswith("ERROR ")
        assert "Input/output error" in line
        assert "puts are refused" in line
        assert await state(wire) == "failed"
        assert (await wire.ask_yaml(b"stats"))["draining"] == "true"


async def test_who_cannot_be_told_the_truth_is_hung_up(
    clock: MockClock, disk: SlowDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those whose last command may or may not be on the disk; all others stay connected."""
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        idle, unlucky, late = server.connect(), server.connect(), server.connect()
        await idle.put(b"x")
        await late.send(b"use y\r\n")
        await late.expect(b"USING y\r\n")
        await lose_log(server, disk, monkeypatch, unlucky, late)
        await unlucky.expect_closed()
        await late.expect_closed()
        assert await idle.ask(b"use x") == b"USING x"


async def test_without_a_log_jobs_are_worked_off(
    clock: MockClock, disk: SlowDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Puts are refused, everything else goes on, at once."""
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        wire, unlucky = server.connect(), server.connect()
        for _ in range(3):
            await wire.put(b"x")
        await lose_log(server, disk, monkeypatch, unlucky)
        disk.hang()
        await wire.send(PUT + b"reserve\r\ndelete 1\r\nreserve\r\nbury 2 0\r\nkick 1\r\n")
        await wire.expect(b"DRAINING\r\nRESERVED 1 1\r\nx\r\nDELETED\r\n")
        await wire.expect(b"RESERVED 2 1\r\nx\r\nBURIED\r\nKICKED 1\r\n")
        await wire.send(b"reserve\r\nrelease 2 0 1\r\npause-tube default 1\r\n")
        await wire.expect(b"RESERVED 2 1\r\nx\r\nRELEASED\r\nPAUSED\r\n")
        disk.go_on()


async def test_a_disk_that_was_full_when_the_log_was_lost_stops_no_moves(
    clock: MockClock, disk: SlowDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not written needs no room: all are moved, not just those of the first step."""
    async with serve(wal_dir=tmp_path, sync_ms=0, segment_bytes=65_536) as server:
        wire, unlucky = server.connect(), server.connect()
        for _ in range(SMALL_STEP + 2):
            await wire.put(b"x")
        disk.fail_space(ENOSPC)
        await wire.send(b"put 0 0 60 9000\r\n%b\r\n" % (b"x" * 9_000))
        await wire.expect(b"OUT_OF_MEMORY\r\n")
        assert await wire.ask(b"move-jobs default ready t 9") == b"OUT_OF_MEMORY"
        await lose_log(server, disk, monkeypatch, unlucky, line=b"pause-tube default 0\r\n")
        await wire.send(b"move-jobs default ready t 999\r\n")
        await settle()
        await pass_time(clock, 1)
        await wire.expect(b"MOVED %d\r\n" % (SMALL_STEP + 2))


async def test_the_jobs_of_those_who_were_hung_up_go_to_others_at_once(
    clock: MockClock, disk: SlowDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(wal_dir=tmp_path, sync_ms=0) as server:
        waiting, unlucky = server.connect(), server.connect()
        await unlucky.send(PUT + b"reserve\r\n")
        await unlucky.expect(b"INSERTED 1\r\nRESERVED 1 1\r\nx\r\n")
        await waiting.send(b"reserve\r\n")
        await unlucky.send(b"use x\r\n")
        await unlucky.expect(b"USING x\r\n")
        await lose_log(server, disk, monkeypatch, unlucky)
        await waiting.expect(b"RESERVED 1 1\r\nx\r\n")


async def test_they_do_so_also_when_it_was_time_that_needed_the_log(
    clock: MockClock, disk: SlowDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a lease cannot be recorded, in the moment in which another client's wait ends."""
    async with serve(wal_dir=tmp_path) as server:
        holder, unlucky, heir = server.connect(), server.connect(), server.connect()
        await holder.send(b"put 0 0 5 1\r\nx\r\nreserve\r\n")
        await holder.expect(b"INSERTED 1\r\nRESERVED 1 1\r\nx\r\n")
        await unlucky.send(
            b"use t\r\nwatch t\r\nignore default\r\nput 0 0 60 1\r\ny\r\nreserve\r\n"
        )
        await unlucky.expect(b"USING t\r\nWATCHING 2\r\nWATCHING 1\r\nINSERTED 2\r\n")
        await unlucky.expect(b"RESERVED 2 1\r\ny\r\n")
        await unlucky.send(b"reserve-with-timeout 5\r\n")
        await heir.send(b"watch t\r\nignore default\r\nreserve\r\n")
        await heir.expect(b"WATCHING 2\r\nWATCHING 1\r\n")
        await settle()
        await pass_time(clock, 1)
        await disk.idle()
        disk.fail_writes(EIO)
        no_new_files(monkeypatch)
        await pass_time(clock, 5)
        await heir.expect(b"RESERVED 2 1\r\ny\r\n")
        await unlucky.expect_closed()


async def test_what_was_acknowledged_before_the_log_was_lost_is_there_after_a_restart(
    clock: MockClock, disk: SlowDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        async with serve(wal_dir=tmp_path, sync_ms=0) as server:
            wire, unlucky = server.connect(), server.connect()
            for number in range(1, 11):
                assert await wire.put(b"%d" % number) == number
            assert await wire.ask(b"delete 3") == b"DELETED"
            await lose_log(server, disk, broken, unlucky)
            await unlucky.expect_closed()
    disk.fail(None)
    async with serve(wal_dir=tmp_path) as server:
        found = {job.id: job.body for job in server.broker.jobs.values()}
        kept = {number: b"%d" % number for number in range(1, 11) if number != 3}
        assert {number: found.get(number) for number in kept} == kept
        assert 3 not in found


async def test_exit_on_log_error_ends_the_daemon_by_itself(
    clock: MockClock, disk: SlowDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It raises what cli makes exit code 74 of; without that option it stays until it is told."""
    log = LogBook()
    config = Config(wal_dir=str(tmp_path), sync_ms=0, exit_on_log_error=True)
    with listening() as listener, pytest.RaisesGroup(LogLostError):
        async with trio.open_nursery() as nursery:
            daemon = Daemon(config, [listener], log.logger, LIMIT)
            nursery.start_soon(daemon.run)
            with contextlib.closing(AsyncWire(listener.getsockname())) as wire:
                assert await wire.put(b"x") == 1
                disk.fail()
                no_new_files(monkeypatch)
                await wire.send(PUT)
                await wire.expect_closed()
    assert len(log.about("log_failed")) == 1


# -- no space -------------------------------------------------------------------------------------


async def test_a_full_disk_refuses_puts_and_nothing_else(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    """And puts are taken again as soon as there is room."""
    async with serve(wal_dir=tmp_path, segment_bytes=65_536) as server:
        wire = server.connect()
        await wire.put(b"x")
        assert await state(wire) == "ok"
        disk.fail_space(ENOSPC)
        line = b"put 0 0 60 9000\r\n%b\r\n" % (b"x" * 9_000)
        await wire.send(line)
        await wire.expect(b"OUT_OF_MEMORY\r\n")
        assert await state(wire) == "full"
        (told,) = server.log.about("log_full")
        assert "puts are refused" in told
        await wire.send(b"reserve\r\nrelease 1 0 0\r\nreserve\r\ndelete 1\r\n")
        await wire.expect(b"RESERVED 1 1\r\nx\r\nRELEASED\r\nRESERVED 1 1\r\nx\r\nDELETED\r\n")
        disk.fail_space(None)
        await pass_time(clock, NEWS_NS / 1e9)
        await wire.send(line)
        assert (await wire.read_line()).startswith(b"INSERTED")
        assert await state(wire) == "ok"
        assert len(server.log.about("log_has_room")) == 1


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT], ids=["full", "quota"])
async def test_when_nothing_can_be_written_replies_wait_and_nothing_is_lost(
    clock: MockClock, disk: SlowDisk, rounds: Rounds, tmp_path: Path, code: int
) -> None:
    """The last resort, should even the reserve be used up: all goes on when there is room."""
    async with serve(wal_dir=tmp_path) as server:
        wire, waiting = server.connect(), server.connect()
        await wire.put(b"x", b"0 0 5")
        assert await wire.ask(b"reserve") == b"RESERVED 1 1"
        await wire.expect(b"x\r\n")
        disk.fail_writes(OSError(code, os.strerror(code)))
        await wire.send(b"bury 1 7\r\n")
        await waiting.send(b"use x\r\n")
        await expect_nothing(wire, waiting)
        (told,) = server.log.about("log_stalled")
        assert "nothing is lost" in told
        await waiting.send(b"put 0 0 60 6\r\nunread\r\n")
        before = rounds.count
        for _ in range(20):
            await pass_time(clock, RETRY_NS / 1e9)
        await expect_nothing(wire, waiting)
        assert rounds.since(before) < 50
        assert len(server.broker.jobs) == 1
        disk.fail_writes(None)
        await pass_time(clock, 2 * RETRY_NS / 1e9)
        await wire.expect(b"BURIED\r\n")
        await waiting.expect(b"USING x\r\nINSERTED 2\r\n")
        assert len(server.log.about("log_stalled")) == 1
        assert len(server.log.about("log_goes_on")) == 1
        for number in (3, 4):
            assert await wire.put(b"x" * 40_000) == number
        assert await state(wire) == "ok"
    async with serve(wal_dir=tmp_path) as server:
        told_of_1 = await server.connect().ask_yaml(b"stats-job 1")
        assert (told_of_1["state"], told_of_1["pri"]) == ("buried", "7")


async def test_stopping_while_nothing_can_be_written_comes_to_an_end(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    """What could not be written was not acknowledged; it is the only thing that is missing."""
    async with serve(wal_dir=tmp_path) as server:
        wire = AsyncWire(server.address)
        await wire.put(b"x")
        await pass_time(clock, 1)
        disk.fail_writes(ENOSPC)
        await wire.send(b"delete 1\r\n")
        await expect_nothing(wire)
    with contextlib.closing(wire):
        await wire.expect_closed()
    disk.fail_writes(None)
    async with serve(wal_dir=tmp_path) as server:
        assert list(server.broker.jobs) == [1]


async def test_the_log_can_be_read_at_any_time_while_segments_that_were_given_up_go(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    """They are no part of it; so are those that the last good sync had not reached."""
    directory, copies = tmp_path / "log", tmp_path / "copies"
    make(directory, copies)
    async with serve(wal_dir=directory, sync_ms=0, segment_bytes=32_768) as server:
        wire = server.connect()
        await wire.put(b"keep", b"0 100000 60")
        disk.forget()
        disk.hang()
        await wire.send(PUT)
        await disk.busy()
        for _ in range(10):  # Several segments, none of which is synced.
            await wire.send(b"put 0 0 60 10000\r\n%b\r\n" % (b"x" * 10_000))
            await settle()
        disk.fail_file(segment_name(int((await stats_now(server))["binlog-current-index"])))
        await wire.send(PUT)
        await settle()
        await disk.end_what_hangs()
        await pass_time(clock, 2 * RETRY_NS / 1e9)
        assert len(server.log.about("log_segment_failed")) == 1
        for number in range(1, 60):
            await disk.end_what_hangs()
            assert read_copy(directory, copies / str(number)) == sorted(server.broker.jobs)
            await wire.send(b"put 0 0 60 10000\r\n%b\r\n" % (b"y" * 10_000))
            await settle()
            await wire.send(b"delete %d\r\n" % max(server.broker.jobs))
            await settle()
        assert int((await stats_now(server))["binlog-oldest-index"]) > 5
        disk.go_on()


def make(*directories: Path) -> None:
    for directory in directories:
        directory.mkdir()


def read_copy(directory: Path, copy: Path) -> list[int]:
    """What a daemon that started now would have: the ids of all jobs."""
    shutil.copytree(directory, copy)
    broker = Broker()
    for _ in Replay(Directory(copy), broker, 0, 0).run():
        pass
    return sorted(broker.jobs)


async def stats_now(server: Server) -> dict[str, str | int]:
    journal = server.daemon.shared.journal
    assert journal is not None
    return journal.statistics()
