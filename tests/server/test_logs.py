"""What the operator reads: one line per event, little of it, and nothing that peers make up."""

from __future__ import annotations

import io
import logging
import re
from typing import TYPE_CHECKING

import pytest
import trio

from stalkd.server.logs import REPEAT_S, TRACE, Complaints, event, open_log
from support.inside import LogBook, serve
from support.wire import settle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio.testing import MockClock

LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (?:TRACE|DEBUG|INFO|WARNING|ERROR) \S+.*"
)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What is written to, by a log that is forgotten afterwards."""
    log = logging.getLogger("stalkd")
    before, level = log.handlers[:], log.level
    yield io.StringIO()
    log.handlers[:] = before
    log.setLevel(level)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "happened"),
        ({"a": 1, "b": "two"}, "happened a=1 b=two"),
        ({"reason": "two words"}, 'happened reason="two words"'),
        ({"empty": ""}, 'happened empty=""'),
        ({"a": "b=c"}, 'happened a="b=c"'),
        ({"a": 'say "hello"'}, "happened a=\"say 'hello'\""),
        ({"a": "1\r\n2\t3"}, 'happened a="1\\r\\n2\\t3"'),
        ({"a": b"\x00\xff\n"}, r"happened a=b'\x00\xff\n'"),
        ({"a": None}, "happened a=None"),
    ],
)
def test_event(fields: dict[str, object], text: str) -> None:
    """An event is its name and its fields, and a program can take them apart again."""
    assert event("happened", **fields) == text


@pytest.mark.parametrize(
    ("verbosity", "levels"),
    [
        (0, "INFO WARNING"),
        (1, "DEBUG INFO WARNING"),
        (2, "TRACE DEBUG INFO WARNING"),
        (9, "TRACE DEBUG INFO WARNING"),
    ],
)
def test_lines_and_levels(stream: io.StringIO, verbosity: int, levels: str) -> None:
    """Each line begins with the time in UTC and the level; -V and -VV show more."""
    log = open_log(stream, verbosity)
    for level in (TRACE, logging.DEBUG, logging.INFO, logging.WARNING):
        log.log(level, event("happened", a=1))
    lines = stream.getvalue().splitlines()
    assert all(LINE.fullmatch(line) for line in lines)
    assert [line.split()[1] for line in lines] == levels.split()


def test_complaints_are_made_once_a_minute() -> None:
    """The first of a cause is logged, the others counted; after a minute the count is told."""
    now = 0.0
    log = LogBook()
    complaints = Complaints(log.logger, lambda: now)
    for _ in range(1_000):
        complaints.about("rain", place="here")
        complaints.about("wind")
    assert log.lines == ["WARNING rain place=here", "WARNING wind"]
    now = REPEAT_S - 0.001
    complaints.about("rain", place="here")
    assert len(log.lines) == 2
    now = float(REPEAT_S)
    complaints.about("rain", place="there")
    complaints.about("rain", place="there")
    assert log.lines[2:] == ["WARNING rain place=there unlogged_since_last=1000"]
    now = 2.0 * REPEAT_S
    complaints.about("wind")
    complaints.about("rain", place="everywhere")
    assert log.lines[3:] == [
        "WARNING wind unlogged_since_last=999",
        "WARNING rain place=everywhere unlogged_since_last=1",
    ]
    now = 3.0 * REPEAT_S
    complaints.about("wind")
    assert log.lines[5:] == ["WARNING wind"]


async def test_quiet_by_default(clock: MockClock) -> None:
    """Clients that come, work, wait, time out and go are no news."""
    async with serve() as server:
        for how in ("close", "reset", "finish_sending"):
            wire = server.connect()
            await wire.send(b"put 0 0 1 1\r\nx\r\nreserve\r\n")
            await trio.sleep(2)
            getattr(wire, how)()
            await settle()
        assert server.log.text == ""


async def test_bad_commands_are_told_once_a_minute(clock: MockClock) -> None:
    """A thousand broken clients cost one line a minute, and it says how many there were."""
    async with serve() as server:
        for _ in range(5):
            wire = server.connect()
            await wire.send(b"no such command\r\ndelete x\r\nuse x\r\n")
            await wire.expect(b"UNKNOWN_COMMAND\r\nBAD_FORMAT\r\nUSING x\r\n")
            wire.close()
            await settle()
        (line,) = server.log.about("peer_sent_bad_commands")
        assert re.fullmatch(
            r"WARNING peer_sent_bad_commands peer=127\.0\.0\.1:\d+ count=2", line
        ), line
        await trio.sleep(REPEAT_S)
        await server.connect().send(b"no such command\r\nquit\r\n")
        await settle()
        assert server.log.lines[-1].endswith(" count=1 unlogged_since_last=4")


async def test_a_peer_that_broke_off_is_named_too(clock: MockClock) -> None:
    """Whoever sends nonsense and resets the connection can be found as well."""
    async with serve() as server:
        wire = server.connect()
        name, port = wire.socket.getsockname()
        assert await wire.ask(b"no such command") == b"UNKNOWN_COMMAND"
        wire.reset()
        await settle()
        (line,) = server.log.about("peer_sent_bad_commands")
        assert f"peer={name}:{port} " in line


async def test_connections_are_told_with_verbose(clock: MockClock) -> None:
    """-V has a line for each that comes and goes, with the reason, and nothing of what it says."""
    async with serve(verbosity=1) as server:
        for last, how in ((b"quit\r\n", "close"), (b"", "finish_sending"), (b"", "reset")):
            wire = server.connect()
            await wire.send(b"put 0 0 60 6\r\nsecret\r\n" + last)
            await wire.expect(b"INSERTED")
            getattr(wire, how)()
            await settle()
        assert "secret" not in server.log.text
        assert len(server.log.about("connected")) == 3
        assert "peer=127.0.0.1:" in server.log.about("connected")[0]
        reasons = [line.partition("reason=")[2] for line in server.log.about("disconnected")]
        assert reasons == ["done", "done", '"Connection reset by peer"']


NASTY = b"\x1b[31m\x00\xff\xc3\xa4\n2026-01-01T00:00:00.000Z INFO forged=1\n\"'\\ =\t\x7f\r\n"


async def test_what_peers_send_is_traced_escaped(clock: MockClock) -> None:
    """-VV shows all that is received and replied, in printable ASCII, never beginning a line."""
    async with serve(verbosity=2) as server:
        wire = server.connect()
        await wire.send(NASTY)
        assert await wire.read_line() == b"BAD_FORMAT\r\n"
        (line,) = server.log.about("received")
        assert line.startswith("TRACE received fd=")
        assert r"\x1b[31m\x00\xff\xc3\xa4\n2026" in line
        (line,) = server.log.about("replied")
        assert line.startswith("TRACE replied fd=")
        assert r"BAD_FORMAT\r\n" in line
        assert server.log.text.isascii()
        assert server.log.text.replace("\n", "").isprintable()
        assert {each.split()[0] for each in server.log.lines} == {"TRACE", "DEBUG"}


@pytest.mark.parametrize("verbosity", [0, 1])
async def test_what_peers_send_is_logged_at_no_other_level(
    clock: MockClock, verbosity: int
) -> None:
    """Bodies may be confidential; without -VV nothing of them gets into the log."""
    async with serve(verbosity=verbosity) as server:
        wire = server.connect()
        await wire.send(b"secret\r\nput 0 0 60 6\r\nsecret\r\nuse secret\r\nsecret" + NASTY)
        await wire.expect(b"UNKNOWN_COMMAND\r\nINSERTED 1\r\nUSING secret\r\nBAD_FORMAT\r\n")
        wire.reset()
        await settle()
        assert "secret" not in server.log.text
