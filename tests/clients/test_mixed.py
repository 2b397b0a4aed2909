"""A plain client and one that uses the extended commands, on the same tubes at the same time.

The plain one must get nothing that it does not understand, and lose nothing.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import greenstalk
import pytest
from greenstalk import Client

from support.daemon import Daemon, Wire

JOBS = 300

pytestmark = pytest.mark.skipif(
    os.environ.get("STALKD_TEST_SERVER") == "beanstalkd",
    reason="the original has no extended commands",
)


@pytest.fixture
def plain(server: Daemon, tube: str) -> Iterator[Client[str]]:
    """Somebody else's client."""
    with Client(server.address, use=tube, watch=tube) as connected:
        yield connected


@pytest.fixture
def wire(server: Daemon, tube: str) -> Iterator[Wire]:
    """A connection that says extended commands."""
    with server.connect() as connected:
        connected.ask(b"watch %b" % tube.encode())
        connected.ask(b"ignore default")
        yield connected


def put_with(wire: Wire, tube: str, options: str, body: bytes = b"x") -> bytes:
    """Put a job with options; return the reply."""
    line = f"put-with 0 0 60 {len(body)} tube={tube} {options}".strip().encode()
    wire.send(line + b"\r\n" + body + b"\r\n")
    return wire.read_line().rstrip()


def batch(wire: Wire, most: int) -> list[tuple[int, bytes]]:
    """Reserve a batch; return ids and bodies."""
    word, _, count = wire.ask(b"reserve-batch %d 0" % most).partition(b" ")
    if word == b"TIMED_OUT":
        return []
    assert word == b"RESERVED_BATCH"
    jobs = []
    for _ in range(int(count)):
        name, number, size, *_ = wire.read_line().split()
        assert name == b"JOB"
        jobs.append((int(number), wire.read_exact(int(size) + 2)[:-2]))
    return jobs


def test_each_takes_what_the_other_has_put(plain: Client[str], wire: Wire, tube: str) -> None:
    """Every job once, whoever put it and whoever takes it."""
    rng = random.Random(7)
    bodies = [f"job {number}" for number in range(JOBS)]
    for body in bodies:
        if rng.random() < 0.5:
            plain.put(body)
        else:
            assert put_with(wire, tube, f"key={body.replace(' ', '-')} ttl=600", body.encode())
    done: list[str] = []
    while len(done) < JOBS:
        if rng.random() < 0.5:
            for number, content in batch(wire, rng.randint(1, 9)):
                done.append(content.decode())
                assert wire.ask(b"delete %d" % number) == b"DELETED"
        else:
            job = plain.reserve(timeout=0)
            assert isinstance(job.body, str)
            done.append(job.body)
            plain.delete(job)
    assert sorted(done) == sorted(bodies)


def test_a_plain_worker_kills_a_poison_job(
    server: Daemon, plain: Client[str], wire: Wire, tube: str
) -> None:
    """It knows nothing of attempts, and hangs up on every one."""
    assert put_with(wire, tube, f"attempts=3 dead={tube}.dead").startswith(b"INSERTED ")
    for _ in range(3):
        with Client(server.address, watch=tube) as worker:
            worker.reserve(timeout=5)
    with pytest.raises(greenstalk.TimedOutError):
        plain.reserve(timeout=0)
    assert wire.ask(b"move-jobs %b.dead ready %b 9" % (tube.encode(), tube.encode())) == b"MOVED 1"
    plain.delete(plain.reserve(timeout=0))


def test_a_plain_producer_meets_a_full_tube(plain: Client[str], wire: Wire, tube: str) -> None:
    """With an error that it has known for ever; and it can go on when there is room."""
    assert wire.ask(b"set-policy %b max-jobs=1" % tube.encode()) == b"POLICY_SET"
    plain.put("one")
    with pytest.raises(greenstalk.OutOfMemoryError):
        plain.put("two")
    plain.delete(plain.reserve(timeout=0))
    plain.put("two")
    assert wire.ask(b"purge-tube %b all" % tube.encode()) == b"PURGED 1"
    assert wire.ask(b"set-policy %b max-jobs=0" % tube.encode()) == b"POLICY_SET"


def test_standard_commands_on_an_extended_job(plain: Client[str], wire: Wire, tube: str) -> None:
    """Statistics have the standard keys, bury and kick and release do what they always do."""
    line = put_with(wire, tube, "key=a ttl=600 attempts=9 dead=elsewhere")
    number = int(line.split()[1])
    told = plain.stats_job(number)
    plain_told = plain.stats_job(plain.put("y"))
    assert told.keys() == plain_told.keys()
    job = plain.reserve(timeout=0)
    assert job.id == number
    plain.release(job, delay=100)
    plain.kick_job(number)
    job = plain.reserve(timeout=0)
    plain.bury(job)
    assert plain.peek_buried().id == number
    assert plain.kick(5) == 1
    plain.touch(plain.reserve_job(number))
    plain.delete(number)
    assert put_with(wire, tube, "key=a").startswith(b"INSERTED ")
