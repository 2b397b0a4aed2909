"""``sync=1``: a reply that leaves only once what it says is on the disk, whatever -f says.

Time stands still in these tests; syncs end when the test says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from trio.testing import MockClock

from support.inside import serve
from support.slowdisk import SlowDisk
from support.wire import AsyncWire, settle

if TYPE_CHECKING:
    from pathlib import Path

PUT = b"put 0 0 60 1\r\nx\r\n"
SYNCED = b"put-with 0 0 60 1 sync=1\r\nx\r\n"

FAR = 3_600_000
"""An hour, as -f 3600000."""

each_mode = pytest.mark.parametrize("sync_ms", [FAR, 50, 0, None])


@pytest.fixture
def clock() -> MockClock:
    """Time stands still."""
    return MockClock()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> SlowDisk:
    return SlowDisk(monkeypatch)


async def expect_nothing(wire: AsyncWire) -> None:
    await settle()
    wire.keep_now(100)
    assert wire.received == b""


@each_mode
async def test_the_reply_waits_for_the_disk(
    sync_ms: int | None, clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    async with serve(wal_dir=tmp_path, sync_ms=sync_ms) as server:
        wire = server.connect()
        disk.hang()
        await wire.send(SYNCED)
        await disk.busy()
        await expect_nothing(wire)
        disk.go_on()
        await wire.expect(b"INSERTED 1\r\n")


async def test_nobody_else_waits_afterwards(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    """One who asks for it does not make all others slow for good."""
    async with serve(wal_dir=tmp_path, sync_ms=FAR) as server:
        first, second = server.connect(), server.connect()
        await first.send(SYNCED)
        await first.expect(b"INSERTED 1\r\n")
        disk.hang()
        await second.send(PUT)
        await second.expect(b"INSERTED 2\r\n")
        disk.go_on()


async def test_a_sync_that_has_begun_before_is_not_enough(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    """It does not cover what has been written since."""
    async with serve(wal_dir=tmp_path, sync_ms=FAR) as server:
        first, second = server.connect(), server.connect()
        disk.forget()
        disk.hang()
        await first.send(SYNCED)
        await disk.busy(1)
        await second.send(SYNCED)
        await settle()
        disk.end_one()
        await first.expect(b"INSERTED 1\r\n")
        await disk.busy(2)
        await expect_nothing(second)
        disk.go_on()
        await second.expect(b"INSERTED 2\r\n")


async def test_the_one_who_put_the_same_key_waits_too(
    clock: MockClock, disk: SlowDisk, tmp_path: Path
) -> None:
    """EXISTS says that the job is safe, although the first one did not ask for that."""
    async with serve(wal_dir=tmp_path, sync_ms=FAR) as server:
        wire = server.connect()
        await wire.send(b"put-with 0 0 60 1 key=a\r\nx\r\n")
        await wire.expect(b"INSERTED 1\r\n")
        disk.hang()
        await wire.send(b"put-with 0 0 60 1 key=a sync=1\r\nx\r\n")
        await disk.busy()
        await expect_nothing(wire)
        disk.go_on()
        await wire.expect(b"EXISTS 1\r\n")


async def test_without_a_log_it_is_refused(clock: MockClock) -> None:
    """Nothing is promised that cannot be kept, and the body is dropped."""
    async with serve() as server:
        wire = server.connect()
        await wire.send(SYNCED + PUT)
        await wire.expect(b"NOT_DURABLE\r\nINSERTED 1\r\n")
