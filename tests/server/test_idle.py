"""A daemon that ends when nobody uses it."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from stalkd.server.idle import until_unused
from support.inside import Server, serve


async def end(server: Server, seconds: float) -> float:
    """When it would end."""
    await until_unused(server.reactor, server.broker.directory, seconds)
    return trio.current_time()


async def test_ends_when_nobody_ever_came(clock: MockClock) -> None:
    async with serve() as server:
        start = trio.current_time()
        assert 60 <= await end(server, 60) - start <= 66


async def test_lives_while_somebody_is_connected(clock: MockClock) -> None:
    async with serve() as server:
        start = trio.current_time()
        wire = server.connect()
        await wire.put(b"x")
        with trio.move_on_after(1_000):
            await end(server, 60)
        assert trio.current_time() - start >= 1_000
        wire.close()
        ended = trio.current_time()
        assert 60 <= await end(server, 60) - ended <= 66


async def test_short_visits_count(clock: MockClock) -> None:
    """Also those that come and go between two looks."""
    async with serve() as server, trio.open_nursery() as nursery:
        start, ends = trio.current_time(), list[float]()

        async def watch() -> None:
            ends.append(await end(server, 60))

        nursery.start_soon(watch)
        for _ in range(10):
            await trio.sleep(50)
            wire = server.connect()
            await wire.put(b"x")
            wire.close()
        last = trio.current_time() - start
        await trio.sleep(100)
        assert 60 <= ends[0] - start - last <= 66


async def test_the_daemon_stops(clock: MockClock) -> None:
    async with serve(idle_exit_s=60, verbosity=1) as server:
        await trio.sleep(59)
        assert not server.log.about("stopping")
        await trio.sleep(10)
        assert server.log.about("stopping") == ["INFO stopping idle_s=60"]
        assert server.daemon._scope.cancel_called
