"""Thousands of connections, of tubes, of jobs: each command costs what it costs with one."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from itertools import chain, islice, repeat
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from stalkd.server import reactor
from stalkd.server.poller import open_poller
from support.command import flood
from support.daemon import Wire, start_stalkd
from support.descriptors import descriptors
from support.inside import Rounds, Server, serve
from support.wire import settle

if TYPE_CHECKING:
    from types import FrameType

    from _typeshed import TraceFunction
    from trio.testing import MockClock

Filling = Callable[[int], Iterator[bytes]]
"""What is said to fill the daemon, given the id of the next job."""

BATCH = 100
"""Connections opened before the last of them is heard: no backlog is shorter than that."""


A_FEW = 50
"""Steps by which a command's cost may vary: an alarm that is set or not, a list that grows."""

SOME = 500
"""Steps that finding a place among many may take; looking at 10,000 things takes 10,000s."""


async def test_two_thousand_connections(clock: MockClock, rounds: Rounds) -> None:
    """All are served; while they are idle they cost nothing; when they break, all go."""
    count = 2_000
    with descriptors(2 * count):
        async with serve(max_connections=count + 1) as server:
            wires = []
            for _ in range(count // BATCH):
                wires += [server.connect() for _ in range(BATCH)]
                assert await wires[-1].ask(b"use x") == b"USING x"
            for wire in wires:
                await wire.send(b"reserve\r\n")
            await settle()
            before = rounds.count
            await trio.sleep(3_600)
            assert rounds.since(before) == 0
            producer = server.connect()
            for number, wire in enumerate(wires[:10], 1):
                assert await producer.put(b"x") == number
                await wire.expect(b"RESERVED %d 1\r\nx\r\n" % number)
            for wire in wires:
                wire.reset()
            told = await producer.ask_yaml(b"stats")
            assert told["current-connections"] == "1"
            assert told["current-jobs-ready"] == "10"


@pytest.mark.heavy
def test_ten_thousand_connections() -> None:
    """A daemon with 10,000 connections serves every one of them, and rests while they are idle."""
    count = 10_000
    with descriptors(count), start_stalkd() as daemon, ExitStack() as stack:
        wires = []
        for _ in range(count // BATCH):
            wires += [stack.enter_context(daemon.connect()) for _ in range(BATCH)]
            assert wires[-1].ask(b"use x") == b"USING x"
        for wire in wires:
            wire.send(b"reserve-with-timeout 0\r\n")
        for wire in wires:
            wire.expect(b"TIMED_OUT\r\n")
        producer, last = wires[0], wires[-1]
        last.send(b"watch x\r\nreserve\r\n")
        last.expect(b"WATCHING 2\r\n")
        used = daemon.cpu_seconds()
        last.expect_silence(0.3)
        assert daemon.cpu_seconds() - used < 0.1
        producer.send(b"use x\r\nput 0 0 60 1\r\nx\r\n")
        last.expect(b"RESERVED 1 1\r\nx\r\n")
        assert b"\ncurrent-connections: 10000\n" in stats(producer)


def stats(wire: Wire) -> bytes:
    wire.expect(b"USING x\r\nINSERTED 1\r\n")
    size = int(wire.ask(b"stats").split()[1])
    return wire.read_exact(size + 2)


def test_newcomers_beside_a_flood() -> None:
    """However busy one client keeps the daemon, others get in and are answered."""
    with start_stalkd() as daemon, flood(daemon) as flooding:
        for _ in range(20):
            with daemon.connect() as newcomer:
                assert newcomer.ask(b"use x") == b"USING x"
        assert flooding.is_alive()


COMMANDS = (
    b"put 0 0 60 1\r\nx\r\n",
    b"put 0 50 60 1\r\nx\r\n",
    b"reserve\r\n",
    b"touch %d\r\n",
    b"release %d 0 0\r\n",
    b"reserve-with-timeout 0\r\n",
    b"bury %d 0\r\n",
    b"peek-buried\r\n",
    b"kick 1\r\n",
    b"peek-ready\r\n",
    b"reserve-job %d\r\n",
    b"release %d 0 100\r\n",
    b"kick-job %d\r\n",
    b"stats-job %d\r\n",
    b"delete %d\r\n",
    b"reserve-with-timeout 0\r\n",
    b"stats-tube mine\r\n",
    b"pause-tube mine 0\r\n",
    b"watch other\r\n",
    b"ignore other\r\n",
    b"use other\r\n",
    b"use mine\r\n",
    b"list-tubes-watched\r\n",
    b"stats\r\n",
)
"""Every command but the one that lists all tubes; %d is the job that was put."""


class StepCounter:
    """Poller and profiler: counts the steps of the interpreter, and the calls, that a round takes.

    A round is what the reactor does between one look for input, if there was some, and the next.
    """

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.counts = False
        self._poller = open_poller()
        self.register = self._poller.register
        self.modify = self._poller.modify
        self.unregister = self._poller.unregister
        self.fileno = self._poller.fileno
        self.close = self._poller.close

    def poll(self, timeout: float, maxevents: int, /) -> list[tuple[int, int]]:
        sys.setprofile(None)
        sys.settrace(None)
        ready = self._poller.poll(timeout, maxevents)
        if ready and self.counts:
            self.steps.append(0)
            sys.setprofile(self._count_call)
            sys.settrace(self._count_step)
        return ready

    def _count_call(self, _frame: object, kind: str, _arg: object) -> None:
        self.steps[-1] += kind in ("call", "c_call")

    def _count_step(self, frame: FrameType, kind: str, _arg: object) -> TraceFunction:
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        self.steps[-1] += kind == "opcode"
        return self._count_step


class Bench:
    """A server whose commands are weighed one by one."""

    def __init__(self, server: Server, counter: StepCounter) -> None:
        self._broker = server.broker
        self._counter = counter
        self._wire = server.connect()
        self._other = server.connect()

    async def fill(self, filling: Filling) -> None:
        """Let another client say very much."""
        lines = filling(self._broker.last_id + 1)
        while piece := b"".join(islice(lines, 500)):
            await self._other.send(piece)
            await wait_all_tasks_blocked()
            while self._other.keep_now(1 << 20):
                pass
            self._other.forget()

    async def costs(self) -> list[int]:
        """The steps that each command takes."""
        for line in (b"use mine", b"watch mine", b"ignore default"):
            await self._wire.ask(line)
        number = self._broker.last_id + 1
        self._counter.counts = True
        costs = [await self._cost(line.replace(b"%d", b"%d" % number)) for line in COMMANDS]
        self._counter.counts = False
        return costs

    async def _cost(self, line: bytes) -> int:
        self._counter.steps.clear()
        await self._wire.send(line)
        await self._wire.read_line()
        self._wire.forget()
        (steps,) = self._counter.steps
        return steps


@asynccontextmanager
async def open_bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    counter = StepCounter()
    monkeypatch.setattr(reactor, "open_poller", lambda: counter)
    async with serve(checked=False) as server:  # The check would take seconds.
        yield Bench(server, counter)


def many_tubes(_first: int) -> Iterator[bytes]:
    return (b"use t%d\r\nput 1 0 60 1\r\nx\r\n" % i for i in range(10_000))


def many_watched_tubes(_first: int) -> Iterator[bytes]:
    return (b"watch t%d\r\n" % i for i in range(10_000))


def many_buried_jobs(first: int) -> Iterator[bytes]:
    line = b"put 1 0 60 1\r\nx\r\nreserve\r\nbury %d 0\r\n"
    return (line % number for number in range(first, first + 10_000))


def many_held_jobs(_first: int) -> Iterator[bytes]:
    return repeat(b"put 1 0 60 1\r\nx\r\nreserve\r\n", 10_000)


@pytest.mark.parametrize(
    "filling", [many_tubes, many_watched_tubes, many_buried_jobs, many_held_jobs]
)
async def test_commands_cost_the_same(
    clock: MockClock, monkeypatch: pytest.MonkeyPatch, filling: Filling
) -> None:
    """However much there is elsewhere, no command takes more steps."""
    async with open_bench(monkeypatch) as bench:
        await bench.costs()  # The first time, some things have to be made.
        before = await bench.costs()
        await bench.fill(filling)
        for line, cost, formerly in zip(COMMANDS, await bench.costs(), before, strict=True):
            assert cost <= formerly + A_FEW, line


def scattered(count: int) -> Iterator[int]:
    """Numbers from 1,000 on, each once, in no order."""
    return (1_000 + i * 7_919 % count for i in range(count))


def many_delays(_first: int) -> Iterator[bytes]:
    line = b"use t%d\r\nput 1 %d 60 1\r\nx\r\n"
    return (line % pair for pair in enumerate(scattered(10_000)))


def many_pauses(_first: int) -> Iterator[bytes]:
    line = b"use t%d\r\nput 1 0 60 1\r\nx\r\npause-tube t%d %d\r\n"
    return (line % (i, i, seconds) for i, seconds in enumerate(scattered(10_000)))


def many_jobs(_first: int) -> Iterator[bytes]:
    return chain([b"use mine\r\n"], repeat(b"put 1 0 60 1\r\nx\r\n", 20_000))


def many_delayed_jobs(_first: int) -> Iterator[bytes]:
    puts = (b"put 1 %d 60 1\r\nx\r\n" % seconds for seconds in scattered(20_000))
    return chain([b"use mine\r\n"], puts)


@pytest.mark.parametrize("filling", [many_delays, many_pauses, many_jobs, many_delayed_jobs])
async def test_commands_cost_hardly_more(
    clock: MockClock, monkeypatch: pytest.MonkeyPatch, filling: Filling
) -> None:
    """Where a command has to find its place among many, it takes a few steps more, not many."""
    async with open_bench(monkeypatch) as bench:
        await bench.costs()  # The first time, some things have to be made.
        before = await bench.costs()
        await bench.fill(filling)
        for line, cost, formerly in zip(COMMANDS, await bench.costs(), before, strict=True):
            assert cost <= formerly + SOME, line
