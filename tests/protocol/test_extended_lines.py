"""Lines of the extended commands: their lengths, and all that is wrong with their words.

Each is sent whole, byte by byte, and with more behind it, which must still be understood.
"""

from __future__ import annotations

import pytest

from stalkd.protocol.extended import NAMES
from stalkd.protocol.limits import MAX_LINE, MAX_LONG_LINE
from stalkd.protocol.session import Settings
from support.extended import CheckedCore

BAD = b"BAD_FORMAT\r\n"
LONG = "x" * 201
SETTINGS = Settings(max_job_size=10)


def assert_in_every_way(sent: bytes, expected: bytes) -> None:
    """What is sent is answered so, whole, byte by byte, and with half a command behind it."""
    whole, slow = CheckedCore(SETTINGS), CheckedCore(SETTINGS)
    session = whole.connect()
    assert whole.ask(session, sent + b"list-tube-used\r\nlist-t") == expected + b"USING default\r\n"
    assert whole.ask(session, b"ube-used\r\n") == b"USING default\r\n"
    session = slow.connect()
    for byte in sent:
        slow.send(session, bytes([byte]))
        assert len(session.backlog) < MAX_LONG_LINE
    assert slow.received(session) == expected


# -- how long a line may be -----------------------------------------------------------------------

# (name, what stands behind it, the reply): spaces between fill the line.
FILLED = [
    (b"put-with", b"0 0 60 1 key=a", b"INSERTED 1\r\n"),
    (b"reserve-batch", b"1 0", b"TIMED_OUT\r\n"),
    (b"touch-for", b"1 1", b"NOT_FOUND\r\n"),
    (b"wait-job", b"1 1", b"NOT_FOUND\r\n"),
    (b"list-jobs", b"a ready 0 1", b"NOT_FOUND\r\n"),
    (b"purge-tube", b"a ready", b"NOT_FOUND\r\n"),
    (b"move-jobs", b"a ready b 1", b"NOT_FOUND\r\n"),
    (b"set-policy", b"a rate=0", b"POLICY_SET\r\n"),
    (b"explain-job", b"1", BAD),
    (b"release-tube", b"a", BAD),
    (b"get-policy", b"a", BAD),
    (b"drain", b"on", BAD),
]


def filled(name: bytes, rest: bytes, size: int) -> bytes:
    line = name + b" " + rest.rjust(size - 3 - len(name)) + b"\r\n"
    assert len(line) == size
    return line


@pytest.mark.parametrize("size", [MAX_LINE, MAX_LINE + 1, MAX_LONG_LINE - 1, MAX_LONG_LINE])
@pytest.mark.parametrize(("name", "rest", "reply"), FILLED)
def test_a_long_line_is_understood(name: bytes, rest: bytes, reply: bytes, size: int) -> None:
    body = b"x\r\n" if name == b"put-with" else b""
    assert_in_every_way(filled(name, rest, size) + body, reply)


@pytest.mark.parametrize("size", [MAX_LONG_LINE + 1, MAX_LONG_LINE + 2, 5000])
@pytest.mark.parametrize("name", NAMES)
def test_a_longer_line_is_dropped(name: bytes, size: int) -> None:
    assert_in_every_way(filled(name, b"1", size), BAD)


@pytest.mark.parametrize("name", [b"delete", b"put", b"use", b"put-withx", b"drainx", b"set-polic"])
def test_the_lines_of_other_commands_have_not_become_longer(name: bytes) -> None:
    assert_in_every_way(filled(name, b"1", MAX_LINE + 1), BAD)


# -- what stands in a line ------------------------------------------------------------------------

BAD_LINES = """
reserve-batch 1
reserve-batch 0 1
reserve-batch x 1
reserve-batch -1 1
reserve-batch 1.0 1
reserve-batch 4294967296 1
reserve-batch 1 x
reserve-batch 1 -1
reserve-batch 1 1.0001
reserve-batch 1 2147483647.001
reserve-batch 1 2147483648
reserve-batch 1 1 1
touch-for 1
touch-for x 1
touch-for -1 1
touch-for 1.5 1
touch-for 18446744073709551616 1
touch-for 1 -1
touch-for 1 +1
touch-for 1 .5
touch-for 1 5.
touch-for 1 1.0001
touch-for 1 1e3
touch-for 1 1,5
touch-for 1 4294967295.001
touch-for 1 4294967296
touch-for 1 99999999999
touch-for 1 1 1
wait-job 1
wait-job x 1
wait-job 1 -1
wait-job 1 1.0001
wait-job 1 2147483647.001
wait-job 1 2147483648
wait-job 18446744073709551616 1
wait-job 1 1 1
list-jobs default
list-jobs default all
list-jobs default all 0
list-jobs default all 0 0
list-jobs default all 0 -1
list-jobs default all 0 4294967296
list-jobs default all -1 1
list-jobs default all 18446744073709551616 1
list-jobs default nosuch 0 1
list-jobs default READY 0 1
list-jobs -a all 0 1
list-jobs default all 0 1 1
explain-job x
explain-job -1
explain-job 1 1
explain-job 18446744073709551616
purge-tube default
purge-tube default nosuch
purge-tube -a all
purge-tube default all all
release-tube -a
release-tube a:b
release-tube default default
move-jobs default ready a
move-jobs default reserved a 1
move-jobs default all a 1
move-jobs default nosuch a 1
move-jobs -a ready a 1
move-jobs default ready -a 1
move-jobs default ready a -1
move-jobs default ready a 4294967296
move-jobs default ready a x
move-jobs default ready a 1 1
get-policy -a
get-policy a b
set-policy default
set-policy -a rate=1
set-policy rate=1
drain
drain ON
drain true
drain onn
drain on off
""".strip().splitlines()

BAD_POLICIES = """
attempts= attempts=-1 attempts=1.0 attempts=4294967296 attempts=x attempts dead=-a dead=a:b dead
ttl= ttl=-1 ttl=1.0001 ttl=4294967296 ttl=4294967295.001 ttl=x ttl=1. ttl=.1 max-jobs=
max-jobs=-1 max-jobs=1.5 max-jobs=4294967296 max_jobs=1 rate= rate=-1 rate=1.0001
rate=1000001 rate=1000000.001 rate=inf concurrency= concurrency=-1 concurrency=1.5
concurrency=4294967296 ageing= ageing=-1 ageing=0.0001 ageing=4294967295.001 ageing=nan
key=a tube=a sync=1 nosuch=1 = =1 RATE=1
""".split()


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_malformed_line_is_refused(line: str) -> None:
    expected = b"UNKNOWN_COMMAND\r\n" if line == "drain" else BAD
    assert_in_every_way(line.encode() + b"\r\n", expected)


@pytest.mark.parametrize(
    "line", [line for line in BAD_LINES if line.endswith((" 1", " all", " ready"))]
)
def test_a_space_at_the_end_is_refused(line: str) -> None:
    assert_in_every_way(line.encode() + b" \r\n", BAD)


@pytest.mark.parametrize("option", BAD_POLICIES)
def test_a_malformed_policy_changes_nothing(option: str) -> None:
    """Not even the good options beside it hold then."""
    core = CheckedCore()
    session = core.connect()
    core.send(session, b"set-policy default max-jobs=5\r\n")
    core.received(session)
    assert core.ask(session, f"set-policy default attempts=7 {option}\r\n".encode()) == BAD
    policy = core.look(session, "get-policy default")
    assert (policy["max-jobs"], policy["attempts"]) == (5, 0)
    assert_in_every_way(f"set-policy default {option}\r\n".encode(), BAD)


@pytest.mark.parametrize("options", ["rate=1 rate=1", "ttl=1 rate=1 ttl=2", "rate=1 " * 9])
def test_a_policy_says_each_thing_once(options: str) -> None:
    assert_in_every_way(f"set-policy default {options.strip()}\r\n".encode(), BAD)


@pytest.mark.parametrize("name", [name for name in NAMES if name[:5] not in {b"stats", b"list-"}])
def test_a_name_alone_is_no_command(name: bytes) -> None:
    """As with Beanstalk's own: what begins like reserve is of bad form, the rest is unknown."""
    expected = BAD if name.startswith(b"reserve") else b"UNKNOWN_COMMAND\r\n"
    assert_in_every_way(name + b"\r\n", expected)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"stats-tubes ", BAD),
        (b"stats-tubes x", BAD),
        (b"list-clients ", b"UNKNOWN_COMMAND\r\n"),
        (b"list-clients x", b"UNKNOWN_COMMAND\r\n"),
        (b"DRAIN on", b"UNKNOWN_COMMAND\r\n"),
        (b"touch-for\t1 1", b"UNKNOWN_COMMAND\r\n"),
        (b"touch-for 1\t1", BAD),
        (b"touch-for 1\0 1", BAD),
        (b"touch-for 1\r 1", BAD),
        (b"explain-job 1\0", BAD),
        (b"explain-job \xd9\xa1", BAD),
    ],
)
def test_odd_lines(line: bytes, expected: bytes) -> None:
    assert_in_every_way(line + b"\r\n", expected)


# -- put-with -------------------------------------------------------------------------------------

BAD_OPTIONS = f"""
tube= tube=-a tube=a:b tube tube={LONG} key= key={LONG}{LONG} key ttl= ttl=-1 ttl=1.0001
ttl=4294967296 ttl=4294967295.001 ttl=x attempts= attempts=-1 attempts=1.0 attempts=4294967296
dead= dead=-a dead=a:b sync= sync=2 sync=-1 sync=01x nosuch=1 max-jobs=1 rate=1 = =a a TUBE=a
"""


@pytest.mark.parametrize(
    "options",
    [
        *BAD_OPTIONS.split(),
        "tube=a tube=a",
        "key=a ttl=1 key=b",
        "key=a nosuch=1",
        "key=a\tttl=1",
        "key=\x80",
        "key=a\0",
        "key=a\rb",
        "key=a ",
        "",
        " ".join(["key=a"] * 9),
        " ".join(["nosuch=1"] * 30),
    ],
)
def test_a_put_with_bad_options_drops_its_body(options: str) -> None:
    """What stands in the body is never taken for commands."""
    line = b"put-with 0 0 60 5 " + options.encode("latin-1") + b"\r\n"
    assert_in_every_way(line + b"stats\r\n", BAD)
    assert_in_every_way(line + b"\r\n\r\n\r\r\n", BAD)


def test_a_body_that_is_dropped_needs_no_line_end() -> None:
    assert_in_every_way(b"put-with 0 0 60 5 x=1\r\nstats--", BAD)


@pytest.mark.parametrize(
    "numbers",
    """
    -1,0,60,0 1.0,0,60,0 4294967296,0,60,0 x,0,60,0
    0,-1,60,0 0,1.0001,60,0 0,4294967296,60,0 0,4294967295.001,60,0 0,x,60,0
    0,0,-1,0 0,0,1.0001,0 0,0,4294967296,0 0,0,4294967295.001,0 0,0,x,0
    0,0,60,-1 0,0,60,1.0 0,0,60,4294967296 0,0,60,x
    0,0,60 0,0 0 key=a,0,0,60,1
    """.split(),
)
def test_a_put_with_bad_numbers_announces_no_body(numbers: str) -> None:
    """As with put: what follows is read as commands."""
    line = f"put-with {numbers.replace(',', ' ')}\r\n".encode()
    assert_in_every_way(line + b"list-tube-used\r\n", BAD + b"USING default\r\n")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"put-with 0 0 60 5\r\nhello\r\n", b"INSERTED 1\r\n"),
        (b"put-with   0  0   60  5   key=a   ttl=1\r\nhello\r\n", b"INSERTED 1\r\n"),
        (b"put-with 00 00.000 060.5 005\r\nhello\r\n", b"INSERTED 1\r\n"),
        (b"put-with 4294967295 0 4294967295 0\r\n\r\n", b"INSERTED 1\r\n"),
        (b"put-with 0 4294967295 4294967295.000 0\r\n\r\n", b"INSERTED 1\r\n"),
        (b"put-with 0 0 60 2 key=%b\r\n\r\n\r\n" % (b"~" * 250), b"INSERTED 1\r\n"),
        (b"put-with 0 0 60 0 key=a=b=c\r\n\r\n", b"INSERTED 1\r\n"),
        (b"put-with 0 0 60 0 key=a!~\"'\\\r\n\r\n", b"INSERTED 1\r\n"),
        (b"put-with 0 0 60 0 tube=%b\r\n\r\n" % (b"x" * 200), b"INSERTED 1\r\n"),
        (b"put-with 0 0 60 11\r\n0123456789a\r\n", b"JOB_TOO_BIG\r\n"),
        (b"put-with 0 0 60 11 nosuch=1\r\n0123456789a\r\n", b"JOB_TOO_BIG\r\n"),
        (b"put-with 0 0 60 5\r\nhello--", b"EXPECTED_CRLF\r\n"),
        (b"put-with 0 0 60 5 sync=1\r\nhello\r\n", b"NOT_DURABLE\r\n"),
        (b"put-with 0 0 60 5 sync=0\r\nhello\r\n", b"INSERTED 1\r\n"),
        (
            b"put-with 0 0 60 5 tube=a key=k ttl=1.5 attempts=3 dead=d sync=0\r\nhello\r\n",
            b"INSERTED 1\r\n",
        ),
        (
            b"put-with 0 0 60 1 key=a\r\nx\r\nput-with 0 0 60 1 key=a\r\ny\r\n",
            b"INSERTED 1\r\nEXISTS 1\r\n",
        ),
        (
            b"set-policy default max-jobs=1\r\n" + 2 * b"put-with 0 0 60 1\r\nx\r\n",
            b"POLICY_SET\r\nINSERTED 1\r\nTUBE_FULL\r\n",
        ),
        (b"drain on\r\nput-with 0 0 60 1 key=a\r\nx\r\n", b"DRAINING\r\nDRAINING\r\n"),
    ],
)
def test_put_with(sent: bytes, expected: bytes) -> None:
    assert_in_every_way(sent, expected)


def test_a_line_and_a_body_may_come_in_any_pieces() -> None:
    """Also where a long line and a long body are cut in the middle of a CR LF."""
    sent = filled(b"put-with", b"0 0 60 10 key=a", MAX_LONG_LINE) + b"0123\r\n6789\r\n"
    for cut in range(MAX_LONG_LINE - 4, len(sent)):
        core = CheckedCore(SETTINGS)
        session = core.connect()
        core.send(session, sent[:cut])
        assert core.ask(session, sent[cut:] + b"peek 1\r\n") == (
            b"INSERTED 1\r\nFOUND 1 10\r\n0123\r\n6789\r\n"
        )


def test_each_command_is_counted_once_its_line_is_understood() -> None:
    """stats tells of all of them, behind what Beanstalk's clients know."""
    core = CheckedCore()
    session = core.connect()
    core.send(session, b"put-with 0 0 60 1\r\nx\r\nput-with 0 0 60 x\r\ndrain off\r\n")
    core.send(session, b"stats-tubes\r\nlist-clients\r\nexplain-job 1\r\n")
    core.received(session)
    stats = core.look(session, "stats")
    counted = {name for name in NAMES if stats[f"cmd-{name.decode()}"] == 1}
    expected = {b"put-with", b"drain", b"stats-tubes", b"list-clients", b"explain-job"}
    assert counted == expected
    assert all(stats[f"cmd-{name.decode()}"] == 0 for name in set(NAMES) - expected)
