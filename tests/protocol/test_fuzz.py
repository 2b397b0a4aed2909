"""Arbitrary bytes in arbitrary pieces: documented replies only, never an exception."""

from __future__ import annotations

import re
from itertools import zip_longest
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from stalkd.broker.check import check
from stalkd.broker.limits import NS_PER_S
from stalkd.protocol.limits import MAX_LONG_LINE
from stalkd.protocol.session import Settings
from support.core import Core

WORDS = st.sampled_from(
    b"put reserve reserve-with-timeout reserve-job delete release bury touch watch ignore use kick "
    b"kick-job pause-tube peek peek-ready peek-delayed peek-buried stats stats-job stats-tube "
    b"list-tubes list-tube-used list-tubes-watched 0 1 2 3 5 10 4294967295 99999999999999999999 -1 "
    b"default a \x00 \r \n "
    b"put-with reserve-batch touch-for wait-job list-jobs explain-job purge-tube release-tube "
    b"move-jobs set-policy get-policy stats-tubes list-clients drain ready all buried on off 0.001 "
    b"1.5 0.0001 tube=a key=k ttl=1 ttl=0.5 attempts=1 dead=a sync=1 sync= max-jobs=1 rate=1 "
    b"rate=0.5 concurrency=1 ageing=1.5 dead= x=1 x=1 =".split(b" ")
)
LINES = st.builds(
    lambda words, end: b" ".join(words) + end,
    st.lists(WORDS, min_size=1, max_size=6),
    st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"", b" \r\n"]),
)
TUBES = st.sampled_from(["default", "a", "b"])
SECONDS = st.sampled_from(["0", "0.001", "0.5", "1", "2.25"])
STATES = st.sampled_from(["ready", "delayed", "buried", "reserved", "all"])
NUMBERS = st.integers(0, 6)
PUT_OPTIONS = st.sampled_from(
    "tube=a tube=b key=k key=l ttl=0.5 ttl=2 attempts=1 attempts=2 dead=a dead=b sync=1 x=1".split()
)
POLICIES = st.sampled_from(
    "attempts=1 attempts=2 dead=a dead=b dead= ttl=1 ttl=0 max-jobs=2 max-jobs=0 rate=1 rate=500 "
    "rate=0 concurrency=1 concurrency=0 ageing=2.5 ageing=0 x=1".split()
)
SENSIBLE = {
    "put-with {} {} {} 1 {} {}\r\nx": (NUMBERS, SECONDS, SECONDS, PUT_OPTIONS, PUT_OPTIONS),
    "set-policy {} {} {}": (TUBES, POLICIES, POLICIES),
    "move-jobs {} {} {} {}": (TUBES, STATES, TUBES, NUMBERS),
    "list-jobs {} {} {} {}": (TUBES, STATES, NUMBERS, NUMBERS),
    "purge-tube {} {}": (TUBES, STATES),
    "reserve-batch {} {}": (NUMBERS, SECONDS),
    "touch-for {} {}": (NUMBERS, SECONDS),
    "wait-job {} {}": (NUMBERS, SECONDS),
    "release {} {} {}": (NUMBERS, NUMBERS, NUMBERS),
    **{f"{name} {{}}": (TUBES,) for name in ("release-tube", "get-policy", "watch", "use")},
    **{f"{name} {{}}": (NUMBERS,) for name in ("explain-job", "reserve-job", "delete", "kick")},
    "bury {} {}": (NUMBERS, NUMBERS),
    "stats-tubes": (),
    "list-clients": (),
}
"""Lines in whose place noise seldom comes to stand: what may be said, and a little that may not."""


@st.composite
def sensible(draw: st.DrawFn) -> bytes:
    template, words = draw(st.sampled_from(list(SENSIBLE.items())))
    return template.format(*map(draw, words)).encode() + b"\r\n"


PIECES = st.lists(st.one_of(LINES, sensible(), sensible(), st.binary(max_size=300)), max_size=30)
LONG = st.builds(
    lambda name, size, end: name + b" " * size + b"1" + end,
    st.sampled_from([b"put-with", b"reserve-batch", b"list-jobs", b"drain", b"delete"]),
    st.integers(200, 1_100),
    st.sampled_from([b"\r\n", b" 0\r\n", b"\r", b""]),
)

WORD = (
    rb"BAD_FORMAT|UNKNOWN_COMMAND|NOT_FOUND|NOT_IGNORED|JOB_TOO_BIG|EXPECTED_CRLF|DELETED|RELEASED|"
    rb"BURIED|TOUCHED|TIMED_OUT|DEADLINE_SOON|PAUSED|KICKED( \d+)?|INSERTED \d+|WATCHING \d+|"
    rb"DRAINING|OUT_OF_MEMORY|USING [-+/;.$_()A-Za-z0-9]{1,200}|"
    rb"EXISTS \d+|TUBE_FULL|NOT_DURABLE|PURGED \d+|RELEASED \d+|MOVED \d+|POLICY_SET|ACCEPTING|"
    rb"RESERVED_BATCH (?P<batch>\d+)"
)
REPLY = re.compile(
    rb"(?:" + WORD + rb")\r\n|(?:RESERVED \d+|FOUND \d+|OK) (?P<size>\d+)\r\n|"
    rb"(?P<member>JOB) \d+ (?P<bytes>\d+) \d+ \d+(?:\.\d{3})? \d+ [-+/;.$_()A-Za-z0-9]{1,200}\r\n"
)


def assert_documented(output: bytes) -> None:
    """The output is a sequence of whole replies of the protocol."""
    position = members = 0
    while position < len(output):
        match = REPLY.match(output, position)
        assert match, output[position : position + 80]
        position = match.end()
        assert bool(match["member"]) == (members > 0)
        members = int(match["batch"]) if match["batch"] else max(0, members - 1)
        size = match["size"] or match["bytes"]
        if size:
            position += int(size)
            assert output[position : position + 2] == b"\r\n"
            position += 2
    assert not members


@given(st.lists(sensible(), max_size=30), st.lists(sensible(), max_size=30), st.integers(1, 3))
def test_chores_of_many_steps(first: list[bytes], second: list[bytes], step: int) -> None:
    """Whatever happens between the steps of a chore, all stays sound."""
    core = Core()
    sessions = core.connect(), core.connect(), core.connect()
    with patch("stalkd.broker.chores.STEP", step):
        core.send(sessions[2], b"put-with 0 0 60 0 key=z ttl=9 attempts=2\r\n\r\n" * 3)
        for number, pieces in enumerate(zip_longest(first, second, fillvalue=b"")):
            for session, piece in zip(sessions, pieces, strict=False):
                core.send(session, piece)
                check(core.broker)
            # Seldom more than a nanosecond, in which a chore does its next step.
            core.advance(core.now + (NS_PER_S // 2 if number % 7 == 6 else 1))
            check(core.broker)
    for session in sessions:
        core.disconnect(session)
        assert_documented(core.received(session))
        check(core.broker)


@given(PIECES, PIECES, st.sampled_from([None, 400, 1000]), st.booleans())
def test_two_sessions_of_noise(
    first: list[bytes], second: list[bytes], max_memory: int | None, draining: bool
) -> None:
    """Whatever two clients send, each gets whole replies, and the broker stays sound."""
    core = Core(Settings(max_job_size=20, max_memory=max_memory))
    core.shared.draining = draining
    sessions = core.connect(), core.connect()
    streams = zip(first + [b""] * 30, second + [b""] * 30, strict=False)
    for number, pieces in enumerate(streams, 1):
        core.advance(number * NS_PER_S // 2)
        for session, piece in zip(sessions, pieces, strict=True):
            core.send(session, piece)
            assert session.stopped or len(session.backlog) < MAX_LONG_LINE
        check(core.broker)
    for session in sessions:
        assert_documented(core.received(session))
        core.disconnect(session)
    check(core.broker)


@given(st.lists(st.one_of(LONG, LINES, sensible()), max_size=8), st.integers(1, 50))
def test_pieces_of_long_lines_do_not_matter(pieces: list[bytes], size: int) -> None:
    """Nor where a line is cut that is as long as it may be, or longer."""
    assert_pieces_do_not_matter(pieces, size)


@given(PIECES, st.integers(1, 50))
def test_pieces_do_not_matter(pieces: list[bytes], size: int) -> None:
    """The same bytes give the same replies, however they are cut."""
    assert_pieces_do_not_matter(pieces, size)


def assert_pieces_do_not_matter(pieces: list[bytes], size: int) -> None:
    data = b"".join(pieces)
    whole, cut = Core(Settings(max_job_size=20)), Core(Settings(max_job_size=20))
    session = cut.connect()
    for start in range(0, len(data), size):
        cut.send(session, data[start : start + size])
    assert whole.ask(whole.connect(), data) == cut.received(session)
