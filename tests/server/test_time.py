"""What time does to jobs and clients, each at its very moment and without anybody asking.

The clock stands still while the server or the test works, so "at" means at: see EXACTLY_S.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from stalkd.broker.limits import TICK_LIMIT
from support.inside import Rounds, Server, serve
from support.wire import AsyncWire, settle

if TYPE_CHECKING:
    from trio.testing import MockClock

HOUR = 3_600.0
UPTIMES = (0.0, 1 / 3, 12_345.678_901_234, 10 * 365 * 24 * HOUR + 0.123_456_7)
"""Times at which a test starts: fractions that floats cannot hold, and ten years."""

each_uptime = pytest.mark.parametrize("uptime", UPTIMES)


async def hold(server: Server, ttr: int) -> tuple[AsyncWire, int]:
    """A worker that has reserved a job and is never heard of again; and that job."""
    worker = server.connect()
    number = await worker.put(b"", b"0 0 %d" % ttr)
    assert await worker.ask(b"reserve-job %d" % number) == b"RESERVED %d 0" % number
    await worker.expect(b"\r\n")
    return worker, number


@each_uptime
@pytest.mark.parametrize("seconds", [1, 2, 59, 100_000])
async def test_reserve_with_timeout(clock: MockClock, uptime: float, seconds: int) -> None:
    """A reserve gives up after the time it was given, not before and not later."""
    clock.jump(uptime)
    async with serve() as server:
        wire = server.connect()
        asked = trio.current_time()
        await wire.send(b"reserve-with-timeout %d\r\n" % seconds)
        await wire.expect_at(asked + seconds, b"TIMED_OUT\r\n")


async def test_longest_timeouts(clock: MockClock) -> None:
    """The largest numbers that the protocol has are times like any other."""
    async with serve() as server:
        wire, worker = server.connect(), server.connect()
        await wire.put(b"late", b"0 4294967295 4294967295")
        await worker.send(b"reserve-with-timeout 2147483647\r\n")
        await worker.expect_at(2_147_483_647, b"TIMED_OUT\r\n")
        await worker.send(b"reserve\r\n")
        await worker.expect_at(4_294_967_295, b"RESERVED 1 4\r\nlate\r\n")


@each_uptime
@pytest.mark.parametrize("seconds", [1, 3, 86_400])
async def test_delay(clock: MockClock, uptime: float, seconds: int) -> None:
    """A delayed job reaches a waiting worker the moment its delay ends, put or released."""
    clock.jump(uptime)
    async with serve() as server:
        producer, worker = server.connect(), server.connect()
        began = trio.current_time()
        await producer.put(b"x", b"0 %d 60" % seconds)
        await worker.send(b"reserve\r\n")
        await worker.expect_at(began + seconds, b"RESERVED 1 1\r\nx\r\n")
        assert await worker.ask(b"release 1 0 %d" % seconds) == b"RELEASED"
        await worker.send(b"reserve\r\n")
        await worker.expect_at(began + 2 * seconds, b"RESERVED 1 1\r\nx\r\n")


@pytest.mark.parametrize("uptime", [0.0, UPTIMES[-1]])
async def test_leases_of_silent_workers_end_at_their_time(clock: MockClock, uptime: float) -> None:
    """A worker that says nothing more loses its job when its time is up, always.

    Here 80 of them hold jobs with every time-to-run from 1 to 80 s, taken at odd moments. The
    original forgets most of such leases until their holder says something.
    """
    clock.jump(uptime)
    due: list[tuple[float, int]] = []
    async with serve() as server:
        for ttr in range(80, 0, -1):
            _, number = await hold(server, ttr)
            due.append((trio.current_time() + ttr, number))
            clock.jump(0.000_123_7)
        heir = server.connect()
        for when, number in sorted(due):
            await heir.send(b"reserve\r\n")
            await heir.expect_at(when, b"RESERVED %d 0\r\n\r\n" % number)
            assert await heir.ask(b"delete %d" % number) == b"DELETED"
        assert (await heir.ask_yaml(b"stats"))["job-timeouts"] == "80"


async def test_leases_that_end_together(clock: MockClock) -> None:
    """However many leases and delays end at the same moment, all of them do."""
    count = 2 * TICK_LIMIT + 500
    async with serve() as server:
        worker, other = server.connect(), server.connect()
        await worker.send(b"put 0 0 7 0\r\n\r\nreserve\r\n" * count)
        await worker.read_exact(
            sum(len(f"INSERTED {i}RESERVED {i} 0") + 6 for i in range(1, count + 1))
        )
        await other.send(b"use later\r\n" + b"put 0 7 60 0\r\n\r\n" * count)
        await other.expect(b"USING later\r\nINSERTED")
        await trio.sleep(6.999)
        told = await server.connect().ask_yaml(b"stats")
        assert (told["current-jobs-reserved"], told["current-jobs-delayed"]) == (str(count),) * 2
        await trio.sleep(0.001_1)
        told = await server.connect().ask_yaml(b"stats")
        assert told["current-jobs-ready"] == str(2 * count)


async def test_every_lease_of_a_worker_ends_at_its_own_time(clock: MockClock) -> None:
    """A silent worker that holds several jobs loses them one by one."""
    async with serve() as server:
        worker, heir = server.connect(), server.connect()
        for ttr in (30, 10, 20, 10):
            await worker.put(b"", b"0 0 %d" % ttr)
            await worker.send(b"reserve\r\n")
            assert (await worker.read_line()).startswith(b"RESERVED")
            await worker.expect(b"\r\n")
        for when, number in ((10, 2), (10, 4), (20, 3), (30, 1)):
            await heir.send(b"reserve\r\n")
            await heir.expect_at(when, b"RESERVED %d 0\r\n\r\n" % number)
            assert await heir.ask(b"delete %d" % number) == b"DELETED"


async def test_touch_moves_the_end_of_a_lease(clock: MockClock) -> None:
    """The time-to-run starts anew with each touch, and ends then even if nothing more is said."""
    async with serve() as server:
        worker, number = await hold(server, 10)
        heir = server.connect()
        await heir.send(b"reserve\r\n")
        for _ in range(5):
            await trio.sleep(9)
            assert await worker.ask(b"touch %d" % number) == b"TOUCHED"
        await heir.expect_at(5 * 9 + 10, b"RESERVED 1 0\r\n\r\n")
        assert await worker.ask(b"touch %d" % number) == b"NOT_FOUND"


async def test_a_time_to_run_of_zero_is_one_second(clock: MockClock) -> None:
    """A job cannot expire while it is being handed over."""
    async with serve() as server:
        await hold(server, 0)
        heir = server.connect()
        await heir.send(b"reserve\r\n")
        await heir.expect_at(1, b"RESERVED 1 0\r\n\r\n")


@each_uptime
async def test_deadline_soon(clock: MockClock, uptime: float) -> None:
    """A waiting worker is told one second before its lease ends, and again whenever it asks."""
    clock.jump(uptime)
    async with serve() as server:
        worker, _ = await hold(server, 10)
        began = trio.current_time()
        await worker.send(b"reserve\r\n")
        await worker.expect_at(began + 9, b"DEADLINE_SOON\r\n")
        await worker.send(b"reserve-with-timeout 0\r\n")
        await worker.expect_at(began + 9, b"DEADLINE_SOON\r\n")
        await trio.sleep_until(began + 10.001)
        await worker.send(b"reserve\r\n")
        await worker.expect_at(began + 10.001, b"RESERVED 1 0\r\n\r\n")


async def test_deadline_soon_or_timed_out(clock: MockClock) -> None:
    """What comes first ends the wait; at the same moment, the lease is the more urgent news."""
    async with serve() as server:
        worker, _ = await hold(server, 10)
        await worker.send(b"reserve-with-timeout 3\r\n")
        await worker.expect_at(3, b"TIMED_OUT\r\n")
        await worker.send(b"reserve-with-timeout 6\r\n")
        await worker.expect_at(9, b"DEADLINE_SOON\r\n")


async def test_the_end_of_a_pause(clock: MockClock) -> None:
    """A pause keeps ready jobs from waiting workers until it ends, or is ended."""
    async with serve() as server:
        producer, worker = server.connect(), server.connect()
        assert await producer.ask(b"pause-tube default 30") == b"PAUSED"
        await worker.send(b"reserve\r\n")
        await producer.put(b"x")
        await worker.expect_at(30, b"RESERVED 1 1\r\nx\r\n")
        assert await producer.ask(b"pause-tube default 30") == b"PAUSED"
        assert await worker.ask(b"release 1 0 0") == b"RELEASED"
        await worker.send(b"reserve\r\n")
        await worker.expect_silence(10)
        assert await producer.ask(b"pause-tube default 0") == b"PAUSED"
        await worker.expect_at(40, b"RESERVED 1 1\r\nx\r\n")


async def test_commands_behind_a_reserve_that_ends_by_time(clock: MockClock) -> None:
    """A wait that ends while everybody is silent lets the client's next commands run at once."""
    async with serve() as server:
        wire = server.connect()
        await wire.send(b"reserve-with-timeout 5\r\nuse x\r\nreserve-with-timeout 5\r\nuse y\r\n")
        await wire.expect_at(5, b"TIMED_OUT\r\nUSING x\r\n")
        await wire.expect_at(10, b"TIMED_OUT\r\nUSING y\r\n")


async def test_an_idle_daemon_does_nothing(clock: MockClock, rounds: Rounds) -> None:
    """While nobody says anything and nothing is due, the reactor sleeps."""
    async with serve() as server:
        idle = [server.connect() for _ in range(10)]
        await idle[0].put(b"x")
        await idle[1].send(b"watch y\r\nignore default\r\nreserve\r\n")
        await idle[2].send(b"put 0 0 60 1000\r\nnot all of it")
        await settle()
        before = rounds.count
        await trio.sleep(HOUR)
        assert rounds.since(before) == 0


async def test_each_deadline_costs_few_rounds(clock: MockClock, rounds: Rounds) -> None:
    """The reactor wakes up for what is due, and goes back to sleep."""
    async with serve() as server:
        await hold(server, 100)
        wire = server.connect()
        await wire.put(b"", b"0 1000 60")
        await wire.send(b"use x\r\n")
        await wire.expect(b"USING x\r\n")
        await wire.send(b"pause-tube x 2000\r\nreserve-with-timeout 3000\r\n")
        await wire.expect(b"PAUSED\r\n")
        await settle()
        before = rounds.count
        await trio.sleep(HOUR)
        assert rounds.since(before) <= 4 * 2


async def test_uptime_is_that_of_the_same_clock(clock: MockClock) -> None:
    """`stats` counts whole seconds since the start."""
    clock.jump(1_000_000.5)
    async with serve() as server:
        wire = server.connect()
        await trio.sleep(2 * HOUR + 0.9)
        assert (await wire.ask_yaml(b"stats"))["uptime"] == "7200"
