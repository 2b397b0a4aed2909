"""--max-memory: puts are refused while the jobs take too much, everything else goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stalkd.broker.limits import JOB_COST
from support.inside import serve
from support.wire import settle

if TYPE_CHECKING:
    from trio.testing import MockClock

SIZE = 1_000
BODY = b"x" * SIZE
PUT = b"put 0 0 60 %d\r\n%b\r\n" % (SIZE, BODY)
ONE = SIZE + JOB_COST
"""What a job of SIZE bytes takes."""


async def test_puts_are_refused_and_resume(clock: MockClock) -> None:
    """Only puts are refused; whoever deletes makes room, and the refused clients go on."""
    async with serve(max_memory=3 * ONE) as server:
        producer, worker = server.connect(), server.connect()
        await producer.send(PUT * 4 + b"list-tube-used\r\n")
        await producer.expect(b"INSERTED 1\r\nINSERTED 2\r\nINSERTED 3\r\nOUT_OF_MEMORY\r\n")
        await producer.expect(b"USING default\r\n")
        for said, heard in (
            (b"reserve", b"RESERVED 1 1000\r\n" + BODY),
            (b"release 1 0 0", b"RELEASED"),
            (b"reserve", b"RESERVED 1 1000\r\n" + BODY),
            (b"bury 1 0", b"BURIED"),
            (b"kick 1", b"KICKED 1"),
            (b"peek 2", b"FOUND 2 1000\r\n" + BODY),
            (b"use other", b"USING other"),
            (b"watch other", b"WATCHING 2"),
        ):
            await worker.send(said + b"\r\n")
            await worker.expect(heard + b"\r\n")
        told = await worker.ask_yaml(b"stats")
        assert (told["current-memory"], told["max-memory"]) == (str(3 * ONE), str(3 * ONE))
        assert await worker.ask(b"delete 2") == b"DELETED"
        await producer.send(PUT * 2)
        assert (await producer.read_line()).startswith(b"INSERTED")
        await producer.expect(b"OUT_OF_MEMORY\r\n")


async def test_a_refused_body_is_dropped_exactly(clock: MockClock) -> None:
    """What it contains is never taken for commands, also when it comes in pieces."""
    body = (b"quit\r\n" * 200)[:SIZE]
    async with serve(max_memory=ONE - 1) as server:
        wire = server.connect()
        said = b"put 0 0 60 %d\r\n%b\r\nlist-tube-used\r\n" % (SIZE, body)
        for pieces in (len(said), 100, 3):
            await wire.send_pieces(said, pieces)
            await wire.expect(b"OUT_OF_MEMORY\r\nUSING default\r\n")


async def test_a_refused_body_takes_no_memory(clock: MockClock) -> None:
    """It is not collected only to be thrown away."""
    async with serve(max_memory=ONE - 1) as server:
        wire = server.connect()
        await wire.send(PUT[:-100])
        await settle()
        assert server.daemon.shared.uploading == 0
        assert (await server.connect().ask_yaml(b"stats"))["current-memory"] == "0"


async def test_partial_bodies_count(clock: MockClock) -> None:
    """Bodies on their way take memory like jobs, until they are complete or their client goes."""
    async with serve(max_memory=3 * ONE) as server:
        slow, gone, other = server.connect(), server.connect(), server.connect()
        for wire in (slow, gone):
            await wire.send(PUT[:-3])
        await settle()
        assert (await other.ask_yaml(b"stats"))["current-memory"] == str(2 * (SIZE - 1))
        await other.send(PUT * 2)
        assert (await other.read_line()).startswith(b"INSERTED")
        await other.expect(b"OUT_OF_MEMORY\r\n")
        gone.reset()
        await settle()
        await other.send(PUT)
        assert (await other.read_line()).startswith(b"INSERTED")
        assert (await other.ask_yaml(b"stats"))["current-memory"] == str(2 * ONE + SIZE - 1)
        await slow.send(PUT[-3:])
        await slow.expect(b"INSERTED 1\r\n")
        assert (await other.ask_yaml(b"stats"))["current-memory"] == str(3 * ONE)


async def test_room_that_is_gone_when_a_body_is_complete(clock: MockClock) -> None:
    """Of several that arrive together, those that still fit are taken; the limit always holds."""
    async with serve(max_memory=3 * ONE) as server:
        wires = [server.connect() for _ in range(6)]
        for wire in wires:
            await wire.send(b"put 0 0 60 %d\r\n" % SIZE)
        await settle()
        for wire in wires:
            await wire.send(BODY + b"\r\n")
        replies = [(await wire.read_line()).split()[0] for wire in wires]
        assert sorted(replies) == [b"INSERTED"] * 3 + [b"OUT_OF_MEMORY"] * 3
        assert server.broker.memory == 3 * ONE
        assert server.daemon.shared.uploading == 0


@pytest.mark.parametrize("delay", [0, 10])
async def test_every_job_counts_whatever_its_state(clock: MockClock, delay: int) -> None:
    """Delayed, reserved and buried jobs take memory too; a deleted one takes none."""
    async with serve(max_memory=ONE) as server:
        wire = server.connect()
        await wire.put(BODY, b"0 %d 60" % delay)
        for said in (b"", b"reserve-job 1\r\n", b"bury 1 0\r\n"):
            await wire.send(said)
            await settle()
            while wire.keep_now(1 << 16):
                pass
            wire.forget()
            await wire.send(PUT)
            await wire.expect(b"OUT_OF_MEMORY\r\n")
        assert await wire.ask(b"delete 1") == b"DELETED"
        await wire.put(BODY)


async def test_draining_is_told_before_out_of_memory(clock: MockClock) -> None:
    """A producer that should go elsewhere hears that, full or not."""
    async with serve(max_memory=ONE) as server:
        wire = server.connect()
        await wire.put(BODY)
        server.daemon.drain()
        await wire.send(PUT)
        await wire.expect(b"DRAINING\r\n")
