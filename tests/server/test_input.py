"""Input that is long, late, cut into pieces, or never ends."""

from __future__ import annotations

import tracemalloc
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from stalkd.config import LARGEST_MAX_JOB_SIZE
from stalkd.protocol.limits import MAX_LINE
from stalkd.server.connection import READ_SIZE
from support.inside import serve
from support.wire import CHUNK, settle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio.testing import MockClock

MEGABYTE = 1 << 20
DAY = 86_400.0


@contextmanager
def memory_below(most: int) -> Iterator[None]:
    """Python's memory, here that of server and test, grows by no more than that meanwhile."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        yield
        _, peak = tracemalloc.get_traced_memory()
        assert peak - before < most
    finally:
        tracemalloc.stop()


async def test_a_body_that_never_arrives(clock: MockClock) -> None:
    """Its client may take days; nobody else notices, and the rest is taken when it comes."""
    async with serve() as server:
        wire, other = server.connect(), server.connect()
        await wire.send(b"put 0 0 60 10\r\n12345")
        for _ in range(3):
            await trio.sleep(DAY)
            number = await other.put(b"x")
            assert await other.ask(b"delete %d" % number) == b"DELETED"
            assert (await other.ask_yaml(b"stats"))["current-jobs-ready"] == "0"
        await wire.send(b"67890\r\nreserve\r\n")
        await wire.expect(b"INSERTED 1\r\nRESERVED 1 10\r\n1234567890\r\n")


async def test_a_large_body_takes_memory_as_it_arrives(clock: MockClock) -> None:
    """A gigabyte that is only announced costs nothing."""
    async with serve(max_job_size=LARGEST_MAX_JOB_SIZE) as server:
        wire, other = server.connect(), server.connect()
        with memory_below(MEGABYTE):
            await wire.send(b"put 0 0 60 1073741824\r\n")
            await settle()
        block = bytes(MEGABYTE)
        with memory_below(4 * MEGABYTE):
            for _ in range(3):
                await wire.send(block)
            assert await other.ask(b"use x") == b"USING x"
            await settle()
        assert server.daemon.shared.uploading == 3 * MEGABYTE


async def test_a_body_in_small_pieces_takes_little_more_memory(clock: MockClock) -> None:
    """Two bytes at a time, a body takes a small multiple of its size, not twenty times as much.

    The limit of memory counts bytes of bodies. The pieces are handed over as recv() returns them;
    32,000 packets would take seconds.
    """
    size = 64_000
    async with serve() as server:
        wire = server.connect()
        await wire.send(b"put 0 0 60 %d\r\n" % size)
        await settle()
        (session,) = server.sessions()
        with memory_below(4 * size):
            for _ in range(size // 2):
                server.reactor._service.receive(session, bytes(bytearray(2)), 0)
        assert server.daemon.shared.uploading == size


@pytest.mark.parametrize("size", [65_534, 65_535, 65_536, MEGABYTE, 5_000_000])
async def test_large_bodies_come_and_go_unharmed(clock: MockClock, size: int) -> None:
    """Every byte of a body that is longer than one read arrives, and leaves, in its place."""
    body = (b"%07d\r\n" * (size // 9 + 1) % tuple(range(size // 9 + 1)))[:size]
    async with serve(max_job_size=size) as server:
        wire = server.connect()
        await wire.put(body)
        await wire.send(b"reserve\r\n")
        await wire.expect(b"RESERVED 1 %d\r\n%b\r\n" % (size, body))


@pytest.mark.parametrize("pieces", [CHUNK, 1_000, 7])
@pytest.mark.parametrize("size", [101, 1_000, 3_000])
async def test_a_body_that_is_too_big_is_dropped_exactly(
    clock: MockClock, size: int, pieces: int
) -> None:
    """Neither a byte less nor one more, whatever it contains: the next command is understood."""
    body = (b"delete 1\r\nuse y\r\n" * 200)[:size]
    async with serve(max_job_size=100) as server:
        wire = server.connect()
        said = b"put 0 0 60 %d\r\n%b\r\nlist-tube-used\r\n" % (size, body)
        await wire.send_pieces(said, pieces)
        await wire.expect(b"JOB_TOO_BIG\r\nUSING default\r\n")


async def test_a_body_that_is_far_too_big(clock: MockClock) -> None:
    """4 GiB that are announced are dropped as they come, without an answer, at no cost."""
    block = b"quit\r\n\r\n" * (MEGABYTE // 8)
    async with serve() as server:
        wire, other = server.connect(), server.connect()
        with memory_below(MEGABYTE):
            await wire.send(b"put 0 0 60 4294967295\r\n")
            for _ in range(4):
                await wire.send(block)
            await wire.expect_silence()
        (discard,) = (each.body for each in server.sessions() if each.body is not None)
        assert discard.missing == 4_294_967_295 + 2 - 4 * MEGABYTE
        assert await other.ask(b"use x") == b"USING x"


@pytest.mark.parametrize("letters", [b"x", b"\r", b"x\n", b"put 0 0 60 "], ids=repr)
async def test_a_line_that_never_ends(clock: MockClock, letters: bytes) -> None:
    """Megabytes without CR LF are dropped as they come; the end of it costs one BAD_FORMAT."""
    block = letters * (MEGABYTE // len(letters))
    async with serve() as server:
        wire, other = server.connect(), server.connect()
        with memory_below(MEGABYTE):
            for _ in range(5):
                await wire.send(block)
            await wire.expect_silence()
        assert all(len(each.backlog) < MAX_LINE for each in server.sessions())
        assert await other.ask(b"use x") == b"USING x"
        await wire.send(b" \r\nlist-tube-used\r\n")
        await wire.expect(b"BAD_FORMAT\r\nUSING default\r\n")


async def test_long_lines_at_every_boundary(clock: MockClock) -> None:
    """Where a long line is cut by packets does not matter: one BAD_FORMAT, and on it goes."""
    async with serve() as server:
        wire = server.connect()
        for length in (MAX_LINE - 2, MAX_LINE - 1, MAX_LINE, 2 * MAX_LINE, 449):
            for cut in (1, MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, length + 1):
                line = b"x" * length + b"\r\n"
                await wire.send(line[:cut])
                await settle()
                await wire.send(line[cut:] + b"use x\r\n")
                reply = b"UNKNOWN_COMMAND" if len(line) <= MAX_LINE else b"BAD_FORMAT"
                await wire.expect(reply + b"\r\nUSING x\r\n")


@pytest.mark.parametrize("offset", [-2, -1, 0, 1, 2])
async def test_commands_across_the_end_of_a_read(clock: MockClock, offset: int) -> None:
    """Nothing happens to a command that begins in one read and ends in the next."""
    filler = b"use %b\r\n" % (b"f" * 58)
    count = READ_SIZE // len(filler) + 1
    assert READ_SIZE % len(filler) == 0
    first = b"use %b\r\n" % (b"f" * (58 + offset))
    clock.autojump_threshold = 0.1  # The last bytes may have to wait for the kernel's late ACK.
    async with serve() as server:
        wire = server.connect()
        await wire.send(b"reserve-with-timeout 0\r\n")
        await wire.expect(b"TIMED_OUT\r\n")
        await wire.send(first + filler * count)
        await wire.expect(
            first.replace(b"use", b"USING") + filler.replace(b"use", b"USING") * count
        )
