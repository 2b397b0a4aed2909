"""What a connection says and hears: every case whole, byte by byte, and with more behind it."""

from __future__ import annotations

import pytest

from stalkd.broker.check import check
from stalkd.broker.limits import NS_PER_S
from stalkd.protocol.limits import (
    BACKLOG_LIMIT,
    COMMANDS_PER_ROUND,
    COMMANDS_PER_RUN,
    MAX_LINE,
    OUTPUT_HIGH_WATER,
)
from stalkd.protocol.session import Session, Settings
from support.core import Core

LONG = b"x" * 200
PUT = b"put 0 0 60 5\r\nhello\r\n"
RESERVED = b"RESERVED 1 5\r\nhello\r\n"

# (what is sent, what comes back), each on a new daemon with -z 10.
CASES: dict[str, tuple[bytes, bytes]] = {
    "put": (PUT, b"INSERTED 1\r\n"),
    "put, empty body": (b"put 0 0 60 0\r\n\r\n", b"INSERTED 1\r\n"),
    "put, spaces": (b"put   0  0   60 5\r\nhello\r\n", b"INSERTED 1\r\n"),
    "put, zeros": (b"put 00 00 060 0005\r\nhello\r\n", b"INSERTED 1\r\n"),
    "put, largest": (b"put 4294967295 0 4294967295 0\r\n\r\n", b"INSERTED 1\r\n"),
    "put, any bytes": (
        b"put 0 0 60 6\r\n\r\n\0\xff\r\n\r\nreserve\r\n",
        b"INSERTED 1\r\nRESERVED 1 6\r\n\r\n\0\xff\r\n\r\n",
    ),
    "put, body looks like a command": (
        b"put 0 0 60 9\r\ndelete 1\n\r\npeek 1\r\n",
        b"INSERTED 1\r\nFOUND 1 9\r\ndelete 1\n\r\n",
    ),
    "put, size limit": (b"put 0 0 60 10\r\n0123456789\r\n", b"INSERTED 1\r\n"),
    "put, too big": (b"put 0 0 60 11\r\n0123456789a\r\n" + PUT, b"JOB_TOO_BIG\r\nINSERTED 1\r\n"),
    "put, too big, no CR LF": (
        b"put 0 0 60 11\r\n0123456789a--" + PUT,
        b"JOB_TOO_BIG\r\nINSERTED 1\r\n",
    ),
    "put, too big wins over junk": (b"put 0 0 60 11 x\r\n0123456789a\r\n", b"JOB_TOO_BIG\r\n"),
    "put, junk": (b"put 0 0 60 5 x\r\nhello\r\n", b"BAD_FORMAT\r\nUNKNOWN_COMMAND\r\n"),
    "put, trailing space": (b"put 0 0 60 5 \r\n", b"BAD_FORMAT\r\n"),
    "put, no size": (b"put 0 0 60\r\n", b"BAD_FORMAT\r\n"),
    "put, nothing": (b"put \r\n", b"BAD_FORMAT\r\n"),
    "put, no space": (b"put\r\n", b"UNKNOWN_COMMAND\r\n"),
    "put, negative": (b"put -1 0 60 5\r\n", b"BAD_FORMAT\r\n"),
    "put, plus": (b"put +1 0 60 5\r\n", b"BAD_FORMAT\r\n"),
    "put, over 32 bits": (b"put 4294967296 0 60 5\r\n", b"BAD_FORMAT\r\n"),
    "put, size over 32 bits": (b"put 0 0 60 4294967296\r\n", b"BAD_FORMAT\r\n"),
    "put, size not a number": (b"put 0 0 60 10b\r\n", b"BAD_FORMAT\r\n"),
    "put, underscore": (b"put 1_0 0 60 5\r\n", b"BAD_FORMAT\r\n"),
    "put, other digits": (b"put \xd9\xa1 0 60 5\r\n", b"BAD_FORMAT\r\n"),
    "put, tab": (b"put\t0 0 60 5\r\n", b"UNKNOWN_COMMAND\r\n"),
    "put, tab between": (b"put 0\t0 60 5\r\n", b"BAD_FORMAT\r\n"),
    "put, no CR LF behind": (
        b"put 0 0 60 1\r\nabc\r\n",
        b"EXPECTED_CRLF\r\nUNKNOWN_COMMAND\r\n",
    ),
    "put, lost body keeps the id": (
        b"put 0 0 60 1\r\nabc" + PUT,
        b"EXPECTED_CRLF\r\nINSERTED 2\r\n",
    ),
    "unknown": (b"nosuch\r\n", b"UNKNOWN_COMMAND\r\n"),
    "empty line": (b"\r\n", b"UNKNOWN_COMMAND\r\n"),
    "leading space": (b" stats\r\n", b"UNKNOWN_COMMAND\r\n"),
    "case": (b"PUT 0 0 60 5\r\n", b"UNKNOWN_COMMAND\r\n"),
    "only LF": (b"list-tube-used\n\r\n", b"BAD_FORMAT\r\n"),
    "NUL": (b"nosuch\0\r\n", b"BAD_FORMAT\r\n"),
    "NUL behind quit": (b"quit\0\r\n" + PUT, b"BAD_FORMAT\r\nINSERTED 1\r\n"),
    "NUL behind a timeout": (b"reserve-with-timeout 0 \0\r\n", b"BAD_FORMAT\r\n"),
    "lone CR": (b"st\rats\r\n" + PUT, b"BAD_FORMAT\r\nINSERTED 1\r\n"),
    "lone CR behind a number": (b"kick 1\rx\r\n", b"BAD_FORMAT\r\n"),
    "two CR": (b"list-tube-used\r\r\n", b"BAD_FORMAT\r\n"),
    "longest line": (b"pause-tube " + LONG + b" 4294967295\r\n", b"NOT_FOUND\r\n"),
    "reserve, more": (b"reserve \r\n", b"BAD_FORMAT\r\n"),
    "reservefoo": (b"reservefoo\r\n", b"BAD_FORMAT\r\n"),
    "peek-readyx": (b"peek-readyx\r\n", b"BAD_FORMAT\r\n"),
    "peek-foo": (b"peek-foo\r\n", b"UNKNOWN_COMMAND\r\n"),
    "list-tube": (b"list-tube\r\n", b"UNKNOWN_COMMAND\r\n"),
    "list-tubesx": (b"list-tubesx\r\n", b"BAD_FORMAT\r\n"),
    "stats-foo": (b"stats-foo\r\n", b"BAD_FORMAT\r\n"),
    "stats-job, no space": (b"stats-job\r\n", b"BAD_FORMAT\r\n"),
    "delete, no space": (b"delete\r\n", b"UNKNOWN_COMMAND\r\n"),
    "delete, no id": (b"delete \r\n", b"BAD_FORMAT\r\n"),
    "delete, junk": (b"delete 1 \r\n", b"BAD_FORMAT\r\n"),
    "delete, largest": (b"delete 18446744073709551615\r\n", b"NOT_FOUND\r\n"),
    "delete, too large": (b"delete 18446744073709551616\r\n", b"BAD_FORMAT\r\n"),
    "kick 1x": (b"kick 1x\r\n", b"KICKED 0\r\n"),
    "kick -1": (b"kick \t-1\r\n", b"KICKED 0\r\n"),
    "kick x": (b"kick x\r\n", b"BAD_FORMAT\r\n"),
    "kick, too large": (b"kick 18446744073709551616\r\n", b"BAD_FORMAT\r\n"),
    "timeout 0": (b"reserve-with-timeout 0\r\n", b"TIMED_OUT\r\n"),
    "timeout, junk": (b"reserve-with-timeout 0x\r\n", b"TIMED_OUT\r\n"),
    "timeout, nothing": (b"reserve-with-timeout \r\n", b"BAD_FORMAT\r\n"),
    "timeout, negative": (b"reserve-with-timeout -1\r\n", b"BAD_FORMAT\r\n"),
    "timeout, too large": (b"reserve-with-timeout 2147483648\r\n", b"BAD_FORMAT\r\n"),
    "pause-tube, glued": (b"pause-tubedefault 0\r\n", b"PAUSED\r\n"),
    "pause-tube, spaces": (b"pause-tube   default   0\r\n", b"PAUSED\r\n"),
    "pause-tube, no seconds": (b"pause-tube default\r\n", b"BAD_FORMAT\r\n"),
    "use": (b"use a\r\nlist-tube-used\r\n", b"USING a\r\nUSING a\r\n"),
    "use, 200": (b"use " + LONG + b"\r\n", b"USING " + LONG + b"\r\n"),
    "use, 201": (b"use x" + LONG + b"\r\n", b"BAD_FORMAT\r\n"),
    "use, every character": (
        b"use aZ09-+/;.$_()\r\n",
        b"USING aZ09-+/;.$_()\r\n",
    ),
    "use, dash first": (b"use -a\r\n", b"BAD_FORMAT\r\n"),
    "use, colon": (b"use a:b\r\n", b"BAD_FORMAT\r\n"),
    "use, two spaces": (b"use  a\r\n", b"BAD_FORMAT\r\n"),
    "use, space behind": (b"use a \r\n", b"BAD_FORMAT\r\n"),
    "watch and ignore": (
        b"watch a\r\nignore default\r\nignore a\r\nignore b\r\nlist-tubes-watched\r\n",
        b"WATCHING 2\r\nWATCHING 1\r\nNOT_IGNORED\r\nWATCHING 1\r\nOK 8\r\n---\n- a\n\r\n",
    ),
    "the whole life": (
        PUT
        + b"reserve\r\nbury 1 5\r\nkick 9\r\nreserve-job 1\r\nrelease 1 2 0\r\n"
        + b"peek-ready\r\ntouch 1\r\ndelete 1\r\ndelete 1\r\n",
        b"INSERTED 1\r\n"
        + RESERVED
        + b"BURIED\r\nKICKED 1\r\n"
        + RESERVED
        + b"RELEASED\r\nFOUND 1 5\r\nhello\r\nNOT_FOUND\r\nDELETED\r\nNOT_FOUND\r\n",
    ),
    **{
        f"line of {size}": (b"y" * (size - 2) + b"\r\n" + PUT, b"BAD_FORMAT\r\nINSERTED 1\r\n")
        for size in (MAX_LINE + 1, MAX_LINE + 2, 448, 449, 450, 673, 5000)
    },
    f"line of {MAX_LINE}": (b"y" * (MAX_LINE - 2) + b"\r\n", b"UNKNOWN_COMMAND\r\n"),
}


@pytest.fixture
def core() -> Core:
    return Core(Settings(max_job_size=10))


@pytest.fixture
def session(core: Core) -> Session:
    return core.connect()


@pytest.mark.parametrize(("sent", "expected"), CASES.values(), ids=CASES.keys())
def test_whole(core: Core, session: Session, sent: bytes, expected: bytes) -> None:
    """Sent in one piece."""
    assert core.ask(session, sent) == expected


@pytest.mark.parametrize(("sent", "expected"), CASES.values(), ids=CASES.keys())
def test_byte_by_byte(core: Core, session: Session, sent: bytes, expected: bytes) -> None:
    """Sent a byte at a time: the same, and no more kept than one line or body."""
    for byte in sent:
        core.send(session, bytes([byte]))
        assert len(session.backlog) < MAX_LINE
    assert core.received(session) == expected
    check(core.broker)


@pytest.mark.parametrize(("sent", "expected"), CASES.values(), ids=CASES.keys())
def test_with_more_behind(core: Core, session: Session, sent: bytes, expected: bytes) -> None:
    """The next command is understood, whole and with half a command behind it."""
    name = b"USING a\r\n" if sent.startswith(b"use a\r\n") else b"USING default\r\n"
    if b"use " in sent and name != b"USING a\r\n" and expected.startswith(b"USING"):
        name = expected
    assert core.ask(session, sent + b"list-tube-used\r\nlist-tube-us") == expected + name
    assert core.ask(session, b"ed\r\n") == name


@pytest.mark.parametrize("line", [b"quit\r\n", b"quit now\r\n", b"quitter\r\n"])
def test_quit(core: Core, session: Session, line: bytes) -> None:
    """quit closes, whatever stands behind it, and nothing after it is run."""
    assert core.ask(session, PUT + line + PUT) == b"INSERTED 1\r\n"
    assert session.closing
    assert len(core.broker.jobs) == 1


def test_unfinished_put_is_invisible(core: Core, session: Session) -> None:
    """Until the last byte has come, the job does not exist; its id is taken all the same."""
    other = core.connect()
    core.send(session, b"put 0 0 60 5\r\nhello\r")
    assert core.ask(other, b"peek 1\r\nstats-job 1\r\ndelete 1\r\n") == b"NOT_FOUND\r\n" * 3
    assert core.ask(other, PUT) == b"INSERTED 2\r\n"
    assert core.ask(session, b"\n") == b"INSERTED 1\r\n"
    assert core.ask(other, b"peek 1\r\n") == b"FOUND 1 5\r\nhello\r\n"


def test_connection_lost_in_the_middle_of_a_put(core: Core, session: Session) -> None:
    """Half a put leaves nothing behind."""
    core.send(session, b"put 0 0 60 5\r\nhel")
    assert core.shared.uploading == 3
    core.disconnect(session)
    assert core.shared.uploading == 0
    assert not core.broker.jobs


def test_waiting_holds_back_what_follows(core: Core, session: Session) -> None:
    """Commands behind a blocking reserve wait with it, even the put that would end it."""
    producer = core.connect()
    assert core.ask(session, b"reserve\r\n" + PUT + b"delete 1\r\n") == b""
    core.send(producer, PUT)
    assert core.received(session) == b"RESERVED 1 5\r\nhello\r\nINSERTED 2\r\nDELETED\r\n"


def test_half_close(core: Core, session: Session) -> None:
    """At the end of input what was sent is answered, waits end, and then it closes."""
    core.send(session, b"reserve\r\nreserve\r\nlist-tube-used\r\n")
    core.end_input(session)
    assert core.received(session) == b"TIMED_OUT\r\nTIMED_OUT\r\nUSING default\r\n"
    assert session.closing


def test_half_close_in_the_middle(core: Core, session: Session) -> None:
    """Half a command at the end of input is no command."""
    core.send(session, b"list-tube-used\r\nput 0 0 60 5\r\nhel")
    core.end_input(session)
    assert core.received(session) == b"USING default\r\n"
    assert session.closing


def test_draining(core: Core, session: Session) -> None:
    """Only puts are refused, and only good ones are told so."""
    core.send(session, PUT)
    core.received(session)
    core.shared.draining = True
    sent = PUT + b"put 0 0 60 11\r\n0123456789a\r\nput 0 0 60 1\r\nabcreserve\r\nrelease 1 0 0\r\n"
    expected = b"DRAINING\r\nJOB_TOO_BIG\r\nEXPECTED_CRLF\r\n"
    assert core.ask(session, sent) == expected + b"RESERVED 1 5\r\nhello\r\nRELEASED\r\n"


def test_large_output_stops_the_session() -> None:
    """A client that asks for more than it takes is not answered beyond the high-water mark."""
    core = Core()
    session = core.connect()
    core.send(session, b"put 0 0 60 60000\r\n" + b"x" * 60000 + b"\r\n")
    core.received(session)
    core.service.receive(session, b"peek 1\r\n" * 1000, 0)
    assert session.stopped
    assert sum(map(len, session.output)) < OUTPUT_HIGH_WATER + 61_000
    assert 0 < len(session.backlog) < BACKLOG_LIMIT
    core.settle()
    assert core.received(session).count(b"FOUND") == 1000


def test_memory_limit() -> None:
    """Past --max-memory puts are refused, all else goes on, and puts resume when there is room."""
    core = Core(Settings(max_memory=1000))
    session = core.connect()
    big = b"put 0 0 60 600\r\n" + b"x" * 600 + b"\r\n"
    assert core.ask(session, big + big) == b"INSERTED 1\r\nOUT_OF_MEMORY\r\n"
    assert core.ask(session, b"delete 1\r\n" + big) == b"DELETED\r\nINSERTED 2\r\n"


def test_memory_limit_counts_bodies_on_their_way() -> None:
    """What has arrived of an unfinished body takes memory, too; what is announced does not."""
    core = Core(Settings(max_memory=1000))
    slow, quick = core.connect(), core.connect()
    core.send(slow, b"put 0 0 60 600\r\n")
    assert core.ask(quick, b"put 0 0 60 1\r\nx\r\n") == b"INSERTED 2\r\n"
    core.send(slow, b"x" * 590)
    assert core.ask(quick, b"put 0 0 60 1\r\nx\r\n") == b"OUT_OF_MEMORY\r\n"
    assert core.ask(slow, b"x" * 10 + b"\r\n") == b"OUT_OF_MEMORY\r\n"
    assert core.shared.uploading == 0


def test_counters(core: Core, session: Session) -> None:
    """A command counts once its arguments are understood, whatever comes of it."""
    core.send(session, b"delete 5\r\ndelete x\r\nput 0 0 60 11\r\n0123456789a\r\nput 0 0 60 x\r\n")
    core.send(session, b"reserve-job 1\r\nkick-job 1\r\nreserve-with-timeout 0\r\n")
    counted = {name: count for name, count in core.shared.counts.items() if count}
    assert counted == {"cmd-delete": 1, "cmd-put": 1, "cmd-reserve-with-timeout": 1}


def test_leases_and_delays_in_one_tick(core: Core, session: Session) -> None:
    """However late the tick, what was due earlier happens first."""
    worker = core.connect()
    core.send(session, b"put 0 2 60 1\r\na\r\nput 0 1 60 1\r\nb\r\n")
    core.send(worker, b"reserve\r\n")
    core.advance(10 * NS_PER_S)
    assert core.received(worker) == b"RESERVED 2 1\r\nb\r\n"


def test_memory_limit_holds_while_bodies_arrive() -> None:
    """Clients that announce much together and send it slowly cannot exceed the limit either."""
    core = Core(Settings(max_memory=10_000))
    sessions = [core.connect() for _ in range(30)]
    for session in sessions:
        core.send(session, b"put 0 0 60 1000\r\n")
    for _ in range(9):
        for session in sessions:
            core.send(session, b"x" * 100)
            assert core.broker.memory + core.shared.uploading <= 10_000
    for session in sessions:
        core.send(session, b"x" * 100 + b"\r\n")
    replies = [core.received(session) for session in sessions]
    assert set(replies[:-1]) <= {b"OUT_OF_MEMORY\r\n"} | {b"INSERTED %d\r\n" % n for n in range(31)}
    assert replies.count(b"OUT_OF_MEMORY\r\n") >= 22
    assert core.shared.uploading == 0
    assert core.broker.memory <= 10_000


def test_a_bad_end_comes_before_other_reasons() -> None:
    """A body without CR LF behind it is told so, also while draining and out of memory."""
    core = Core(Settings(max_memory=100))
    session = core.connect()
    for expected in (b"OUT_OF_MEMORY\r\n", b"DRAINING\r\n"):
        assert core.ask(session, b"put 0 0 0 1\r\na\r\n") == expected
        assert core.ask(session, b"put 0 0 0 1\r\nabc") == b"EXPECTED_CRLF\r\n"
        for byte in b"put 0 0 0 1\r\nabc":
            core.send(session, bytes([byte]))
        assert core.received(session) == b"EXPECTED_CRLF\r\n"
        core.shared.draining = True


def test_a_flood_of_commands_is_run_in_turns(core: Core, session: Session) -> None:
    """However much a client has sent, the others wait for COMMANDS_PER_RUN of its commands."""
    other = core.connect()
    core.service.receive(session, b"\r\n" * 10 * COMMANDS_PER_RUN, 0)
    core.service.receive(other, b"list-tube-used\r\n", 0)
    assert len(session.output) == COMMANDS_PER_RUN
    assert other.output == [b"USING default\r\n"]
    core.settle()
    assert core.received(session).count(b"UNKNOWN_COMMAND") == 10 * COMMANDS_PER_RUN


def test_many_floods_are_served_in_turn(core: Core) -> None:
    """A round runs COMMANDS_PER_ROUND commands, and nobody has two turns before all had one."""
    sessions = [core.connect() for _ in range(100)]
    for session in sessions:
        core.service.receive(session, b"\r\n" * 1000, 0)
    assert sum(len(session.output) for session in sessions) == COMMANDS_PER_ROUND
    while not sessions[-1].output:
        for session in core.shared.start_round():
            core.service.receive(session, b"", 0)
    assert max(len(session.output) for session in sessions) <= 2 * COMMANDS_PER_RUN


def test_a_failing_answer_concerns_one_session(
    core: Core, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When an answer cannot be put into words, the others get theirs, and each gets one."""
    first, second = core.connect(), core.connect()
    for waiter in (first, second):
        core.send(waiter, b"reserve\r\n")
    error = MemoryError()

    def fail(data: bytes) -> None:
        raise error

    monkeypatch.setattr(
        Session, "reply_large", lambda me, data: (fail if me is first else me.reply)(data)
    )
    core.service.receive(session, PUT + PUT, 0)
    assert core.service.deliver(0) == [(first, error)]
    assert core.service.deliver(0) == []
    assert second.output == [b"RESERVED 2 5\r\nhello\r\n"]


@pytest.mark.parametrize(
    ("end", "expected"), [(b"\r\n", "OUT_OF_MEMORY"), (b"xx", "EXPECTED_CRLF")]
)
@pytest.mark.parametrize("last", [0, 1, 2])
def test_a_body_is_given_up_anywhere(end: bytes, expected: str, last: int) -> None:
    """Wherever memory runs out in a body, between its CR and LF too, its end is judged rightly."""
    core = Core(Settings(max_memory=1_000))
    slow, quick = core.connect(), core.connect()
    body = b"x" * 600 + end
    core.send(slow, b"put 0 0 60 600\r\n" + body[: 601 - last])
    assert core.ask(quick, b"put 0 0 60 60\r\n" + b"y" * 60 + b"\r\n") == b"INSERTED 2\r\n"
    core.broker.memory += 1_000  # Others have grown meanwhile.
    for byte in body[601 - last :]:
        core.send(slow, bytes([byte]))
    assert core.received(slow) == expected.encode() + b"\r\n"
    assert core.shared.uploading == 0


def test_the_end_of_input_is_not_forgotten_while_output_waits(session: Session) -> None:
    """A turn that was passed over because the peer did not read is made up for: it still closes."""
    session.input_ended = True
    session.go_on()
    assert list(session.shared.start_round()) == [session]  # Passed over: nothing is run.
    session.output_sent()
    assert list(session.shared.start_round()) == [session]
