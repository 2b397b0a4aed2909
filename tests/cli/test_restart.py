"""What a restart with a write-ahead log brings back, and what begins anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.command import logging_to, numbers, put, take, wait_for
from support.daemon import Daemon, Wire

LEAST_SEGMENT = 32 * 1024


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A directory that is to be made."""
    return tmp_path / "wal"


def stop(daemon: Daemon) -> None:
    assert daemon.terminate() == 0


each_end = pytest.mark.parametrize("end", [Daemon.kill, stop], ids=["killed", "stopped"])
each_mode = pytest.mark.parametrize("syncs", ["-f0", "-f50", "-F"])

End = Callable[[Daemon], None]


def live_through(wire: Wire) -> None:
    """Jobs in all states and by all ways, in a tube that is paused at the end."""
    assert wire.ask(b"use mail") == b"USING mail"
    for options in (b"20 0 60", b"10 0 61", b"10 0 62", b"30 3600 63", b"40 0 64", b"50 0 65"):
        put(wire, b"body of " + options, options)
    for _ in range(6):
        put(wire, b"\r\n\0\xff")
    for number in (2, 5, 6, 8, 9, 10, 11):
        take(wire, b"reserve-job %d" % number)
    assert wire.ask(b"release 5 5 0") == b"RELEASED"
    assert wire.ask(b"release 6 6 5000") == b"RELEASED"
    for number in (9, 8, 11, 10):
        assert wire.ask(b"bury %d %d" % (number, number)) == b"BURIED"
    assert wire.ask(b"kick-job 11") == b"KICKED"
    assert wire.ask(b"delete 12") == b"DELETED"
    put(wire, b"kicked", b"0 1000 60")
    assert wire.ask(b"kick-job 13") == b"KICKED"
    assert wire.ask(b"pause-tube mail 7000") == b"PAUSED"


LIVING = (*range(1, 12), 13)

HELD = 2


def seen(wire: Wire, number: int) -> dict[str, object]:
    """What clients see of a job, less what goes on with time or depends on the log."""
    told = numbers(wire, b"stats-job %d" % number)
    told = {key: value for key, value in told.items() if key not in {"age", "file", "time-left"}}
    return {**told, "body": take(wire, b"peek %d" % number)[1]}


def time_left(wire: Wire, number: int) -> int:
    return int(numbers(wire, b"stats-job %d" % number)["time-left"])


@each_end
@each_mode
def test_all_comes_back(path: Path, syncs: str, end: End) -> None:
    """States, priorities, delays, counters, bodies, tubes; who was reserved is ready again."""
    with logging_to(path, syncs) as (daemon, wire):
        live_through(wire)
        before = {number: seen(wire, number) for number in LIVING}
        left = {number: time_left(wire, number) for number in (4, 6)}
        assert before[HELD]["state"] == "reserved"
        before[HELD]["state"] = "ready"
        end(daemon)
    with logging_to(path, syncs) as (_, wire):
        assert {number: seen(wire, number) for number in LIVING} == before
        assert wire.ask(b"peek 12") == b"NOT_FOUND"
        for number, seconds in left.items():
            assert seconds - 10 <= time_left(wire, number) <= seconds


@each_end
def test_orders_and_pauses_come_back(path: Path, end: End) -> None:
    """Buried jobs in the order of their burial, ready ones by priority; a paused tube rests."""
    with logging_to(path) as (daemon, wire):
        live_through(wire)
        end(daemon)
    with logging_to(path) as (_, wire):
        wire.send(b"use mail\r\nwatch mail\r\n")
        wire.expect(b"USING mail\r\nWATCHING 2\r\n")
        for number in (9, 8, 10):
            assert take(wire, b"peek-buried")[0] == number
            assert wire.ask(b"kick 1") == b"KICKED 1"
        assert wire.ask(b"reserve-with-timeout 0") == b"TIMED_OUT"
        paused = numbers(wire, b"stats-tube mail")
        assert paused["pause"] == "7000"
        assert 6990 <= int(paused["pause-time-left"]) <= 7000
        assert wire.ask(b"pause-tube mail 0") == b"PAUSED"
        # Each with the priority that it had last.
        order = [7, 13, 5, 8, 9, 2, 3, 10, 11, 1]
        assert [take(wire, b"reserve")[0] for _ in order] == order


def test_totals_begin_anew(path: Path) -> None:
    """What is counted of the server and of tubes is counted since the start."""
    with logging_to(path) as (daemon, wire):
        live_through(wire)
        stop(daemon)
    with logging_to(path) as (_, wire):
        told = numbers(wire, b"stats")
        assert {told[key] for key in ("total-jobs", "cmd-put", "cmd-bury", "job-timeouts")} == {"0"}
        assert (told["current-jobs-ready"], told["current-jobs-buried"]) == ("7", "3")
        assert numbers(wire, b"stats-tube mail")["total-jobs"] == "0"


@each_end
def test_ids_are_never_used_twice(path: Path, end: End) -> None:
    """Not even when the log was emptied and read twice: somebody may still know the old ones."""
    with logging_to(path) as (daemon, wire):
        assert [put(wire) for _ in range(3)] == [1, 2, 3]
        for number in (1, 2, 3):
            assert wire.ask(b"delete %d" % number) == b"DELETED"
        end(daemon)
    with logging_to(path) as (daemon, _):
        wait_for(daemon, "replayed")
        end(daemon)
    with logging_to(path) as (_, wire):
        assert put(wire) == 4


def test_a_smaller_limit_for_jobs_keeps_the_larger_ones(path: Path) -> None:
    """What was accepted stays; only new ones are refused."""
    with logging_to(path) as (daemon, wire):
        put(wire, b"x" * 1_000)
        put(wire, b"y")
        stop(daemon)
    for _ in range(2):
        with logging_to(path, "-z", "10") as (daemon, wire):
            assert take(wire, b"peek 1") == (1, b"x" * 1_000)
            assert take(wire, b"peek 2") == (2, b"y")
            wire.send(b"put 0 0 1 11\r\n12345678901\r\n")
            wire.expect(b"JOB_TOO_BIG\r\n")
            stop(daemon)


@each_end
def test_a_job_may_be_larger_than_a_segment(path: Path, end: End) -> None:
    """Many times: it works, and it comes back, and so do those around it."""
    bodies = [b"a", b"b" * 5 * LEAST_SEGMENT, b"c", b"d" * 3 * LEAST_SEGMENT, b"e"]
    options = ("-s", "1", "-z", str(10 * LEAST_SEGMENT))
    with logging_to(path, *options) as (daemon, wire):
        for body in bodies:
            put(wire, body)
        end(daemon)
    with logging_to(path, *options) as (_, wire):
        assert [take(wire, b"reserve")[1] for _ in bodies] == bodies


def test_segments_have_a_least_size(path: Path) -> None:
    """Smaller values of -s are taken as 32 KiB."""
    with logging_to(path, "-s", "1") as (_, wire):
        for _ in range(30):
            put(wire, b"x" * 1_000)
        assert numbers(wire, b"stats")["binlog-current-index"] == "1"
        for _ in range(10):
            put(wire, b"x" * 1_000)
        assert numbers(wire, b"stats")["binlog-current-index"] == "2"
