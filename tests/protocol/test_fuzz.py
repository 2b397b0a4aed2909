"""Arbitrary bytes in arbitrary pieces: documented replies only, never an exception."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from stalkd.broker.check import check
from stalkd.broker.limits import NS_PER_S
from stalkd.protocol.limits import MAX_LINE
from stalkd.protocol.session import Settings
from support.core import Core

WORDS = st.sampled_from(
    b"put reserve reserve-with-timeout reserve-job delete release bury touch watch ignore use kick "
    b"kick-job pause-tube peek peek-ready peek-delayed peek-buried stats stats-job stats-tube "
    b"list-tubes list-tube-used list-tubes-watched 0 1 2 3 5 10 4294967295 99999999999999999999 -1 "
    b"default a \x00 \r \n".split(b" ")
)
LINES = st.builds(
    lambda words, end: b" ".join(words) + end,
    st.lists(WORDS, min_size=1, max_size=6),
    st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"", b" \r\n"]),
)
PIECES = st.lists(st.one_of(LINES, st.binary(max_size=300)), max_size=30)

WORD = (
    rb"BAD_FORMAT|UNKNOWN_COMMAND|NOT_FOUND|NOT_IGNORED|JOB_TOO_BIG|EXPECTED_CRLF|DELETED|RELEASED|"
    rb"BURIED|TOUCHED|TIMED_OUT|DEADLINE_SOON|PAUSED|KICKED( \d+)?|INSERTED \d+|WATCHING \d+|"
    rb"DRAINING|OUT_OF_MEMORY|USING [-+/;.$_()A-Za-z0-9]{1,200}"
)
REPLY = re.compile(rb"(?:" + WORD + rb")\r\n|(?:RESERVED \d+|FOUND \d+|OK) (?P<size>\d+)\r\n")


def assert_documented(output: bytes) -> None:
    """The output is a sequence of whole replies of the protocol."""
    position = 0
    while position < len(output):
        match = REPLY.match(output, position)
        assert match, output[position : position + 80]
        position = match.end()
        if match["size"]:
            position += int(match["size"])
            assert output[position : position + 2] == b"\r\n"
            position += 2


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
            assert session.stopped or len(session.backlog) < MAX_LINE
        check(core.broker)
    for session in sessions:
        assert_documented(core.received(session))
        core.disconnect(session)
    check(core.broker)


@given(PIECES, st.integers(1, 50))
def test_pieces_do_not_matter(pieces: list[bytes], size: int) -> None:
    """The same bytes give the same replies, however they are cut."""
    data = b"".join(pieces)
    whole, cut = Core(Settings(max_job_size=20)), Core(Settings(max_job_size=20))
    session = cut.connect()
    for start in range(0, len(data), size):
        cut.send(session, data[start : start + size])
    assert whole.ask(whole.connect(), data) == cut.received(session)
