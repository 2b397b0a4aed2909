"""A file system of 1 MiB, filled to the last byte: only puts are refused, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import pytest

from support.command import FREE, lines_about, run, running, wait_for
from support.daemon import Daemon, Wire

SIZE = "1m"

OPTIONS = [(), ("-s", "65536"), ("-f", "0")]

BLOCK = 4096

FILLS = 20
"""How often the disk is filled up again at most, before it stays full."""

each_way = pytest.mark.parametrize("options", OPTIONS, ids=lambda some: " ".join(some) or "default")


@pytest.fixture
def disk() -> Iterator[Path]:
    """A disk of its own, which is small.

    Not in ``tmp_path``: should the test run be killed, pytest could not remove that any more.
    """
    if os.geteuid() != 0:
        pytest.skip(f"only root can mount a file system of {SIZE}")
    path = Path(tempfile.mkdtemp(prefix="stalkd-disk-"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        if done.returncode:
            pytest.skip(f"cannot mount a file system of {SIZE} here: {done.stderr.strip()}")
        yield path
    finally:
        if not done.returncode:
            subprocess.run(["umount", str(path)], check=True)
        path.rmdir()


@contextmanager
def stalkd(disk: Path, *options: str) -> Iterator[tuple[Daemon, Wire]]:
    with running(*FREE, "-b", str(disk / "log"), *options) as daemon, daemon.connect() as wire:
        yield daemon, wire


def put(wire: Wire, body: bytes) -> int | None:
    """Put a job; None if there is no room for it."""
    wire.send(b"put 0 0 100000 %d\r\n%b\r\n" % (len(body), body))
    reply = wire.read_line()
    if reply == b"OUT_OF_MEMORY\r\n":
        return None
    word, number = reply.split()
    assert word == b"INSERTED"
    return int(number)


def fill(wire: Wire, rng: Random) -> dict[int, bytes]:
    """Put jobs until not even the smallest finds room; return their bodies.

    More than once: after a refusal, what is old may still make room.
    """
    jobs: dict[int, bytes] = {}
    for _ in range(FILLS):
        for largest in (5_000, 200, 0):
            while (number := put(wire, body := rng.randbytes(rng.randint(0, largest)))) is not None:
                jobs[number] = body
        if state(wire) == "full":
            return jobs
    raise AssertionError(f"it is {state(wire)}, but refuses puts")


def stats(wire: Wire, line: bytes = b"stats") -> dict[str, str]:
    word, size = wire.ask(line).split()
    assert word == b"OK"
    text = wire.read_exact(int(size) + 2).decode()
    return dict(each.split(": ", 1) for each in text.split("\n")[1:-2])


def state(wire: Wire) -> str:
    return stats(wire)["binlog-state"]


def free(disk: Path) -> int:
    """Bytes that anybody could still write."""
    space = os.statvfs(disk)
    return space.f_bavail * space.f_frsize


def take_all(disk: Path) -> Path:
    """Be another program that fills the disk."""
    path = disk / "other"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(BLOCK))
        except OSError:
            return path


def must_have(wire: Wire, jobs: dict[int, bytes]) -> None:
    """These jobs are there, and no others."""
    for number, body in jobs.items():
        assert wire.ask(b"peek %d" % number) == b"FOUND %d %d" % (number, len(body))
        assert wire.read_exact(len(body) + 2) == body + b"\r\n"
    told = stats(wire)
    states = ("ready", "delayed", "buried", "reserved")
    assert sum(int(told[f"current-jobs-{each}"]) for each in states) == len(jobs)


def must_be_intact(disk: Path) -> None:
    done = run("--check", str(disk / "log"))
    assert done.returncode == 0, done.stdout


def shuffle(wire: Wire, jobs: dict[int, bytes], rng: Random, times: int) -> None:
    """Do everything with jobs that changes them, and leave them all ready."""
    numbers = list(jobs)
    for _ in range(times):
        number = rng.choice(numbers)
        wire.send(b"reserve-job %d\r\n" % number)
        wire.expect(b"RESERVED %d %d\r\n%b\r\n" % (number, len(jobs[number]), jobs[number]))
        way = rng.randrange(3)
        if way == 0:
            assert wire.ask(b"release %d %d 0" % (number, rng.randrange(9))) == b"RELEASED"
        elif way == 1:
            assert wire.ask(b"release %d 0 1000" % number) == b"RELEASED"
            assert wire.ask(b"kick-job %d" % number) == b"KICKED"
        else:
            assert wire.ask(b"bury %d 0" % number) == b"BURIED"
            assert wire.ask(b"kick 1") == b"KICKED 1"


def delete(wire: Wire, jobs: dict[int, bytes], numbers: list[int]) -> None:
    for number in numbers:
        assert wire.ask(b"delete %d" % number) == b"DELETED"
        del jobs[number]


def shuffled(jobs: dict[int, bytes], rng: Random) -> list[int]:
    return rng.sample(sorted(jobs), len(jobs))


@each_way
def test_all_but_puts_goes_on_while_the_disk_is_full(disk: Path, options: tuple[str, ...]) -> None:
    """Much more is written than there is room for, because what is old makes room for it."""
    rng = Random(1)
    with stalkd(disk, *options) as (daemon, wire):
        jobs = fill(wire, rng)
        assert sum(map(len, jobs.values())) > 100_000
        take_all(disk)
        shuffle(wire, jobs, rng, 4_000)
        assert put(wire, b"x" * 5_000) is None
        must_have(wire, jobs)
        assert lines_about(daemon, "log_full")
        assert not lines_about(daemon, "log_stalled")
        daemon.kill()
    must_be_intact(disk)
    with stalkd(disk, *options) as (_, wire):
        must_have(wire, jobs)


@each_way
def test_deleting_makes_room_for_puts(disk: Path, options: tuple[str, ...]) -> None:
    """In whatever order; they are taken again by themselves."""
    rng = Random(2)
    with stalkd(disk, *options) as (daemon, wire):
        for _ in range(3):
            jobs = fill(wire, rng)
            delete(wire, jobs, shuffled(jobs, rng))
            must_have(wire, {})
            number = put(wire, b"x" * 5_000)
            assert number is not None
            assert state(wire) == "ok"
            assert wire.ask(b"delete %d" % number) == b"DELETED"
        assert wait_for(daemon, "log_has_room")
        assert daemon.terminate() == 0
    must_be_intact(disk)


@each_way
def test_half_of_the_jobs_make_room_for_others(disk: Path, options: tuple[str, ...]) -> None:
    rng = Random(3)
    with stalkd(disk, *options) as (daemon, wire):
        jobs = fill(wire, rng)
        delete(wire, jobs, shuffled(jobs, rng)[: len(jobs) // 2])
        more = fill(wire, rng)
        assert sum(map(len, more.values())) > 50_000
        jobs |= more
        must_have(wire, jobs)
        daemon.kill()
    must_be_intact(disk)
    with stalkd(disk, *options) as (_, wire):
        must_have(wire, jobs)


@each_way
@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_daemon_starts_on_a_full_disk(disk: Path, options: tuple[str, ...], end: str) -> None:
    """It has all jobs, lets them be worked off, and takes puts as soon as there is room."""
    rng = Random(4)
    with stalkd(disk, *options) as (daemon, wire):
        jobs = fill(wire, rng)
        take_all(disk)
        if end == "kill":
            daemon.kill()
        else:
            assert daemon.terminate() == 0
    for _ in range(3):
        take_all(disk)
        with stalkd(disk, *options) as (daemon, wire):
            must_have(wire, jobs)
            shuffle(wire, jobs, rng, 200)
            delete(wire, jobs, shuffled(jobs, rng)[:10])
            daemon.kill()
    (disk / "other").unlink()
    with stalkd(disk, *options) as (_, wire):
        must_have(wire, jobs)
        delete(wire, jobs, list(jobs))
        assert put(wire, b"x" * 5_000) is not None
        assert state(wire) == "ok"


@each_way
def test_starts_leave_nothing_to_other_programs(disk: Path, options: tuple[str, ...]) -> None:
    """However it ends: in the middle of cleaning up, or before there was time for anything."""
    rng = Random(7)
    with stalkd(disk, *options) as (daemon, wire):
        jobs = fill(wire, rng)
        take_all(disk)
    for number in range(8):
        take_all(disk)
        with stalkd(disk, *options) as (daemon, wire):
            shuffle(wire, jobs, rng, 100 if number % 4 == 3 else number % 3)
            delete(wire, jobs, shuffled(jobs, rng)[:3])
            assert not lines_about(daemon, "log_stalled")
            if rng.random() < 0.5:
                daemon.kill()
    take_all(disk)
    with stalkd(disk, *options) as (daemon, wire):
        must_have(wire, jobs)
        delete(wire, jobs, list(jobs))
        assert not lines_about(daemon, "log_stalled")
    must_be_intact(disk)


@each_way
def test_another_program_fills_the_disk_and_makes_room_again(
    disk: Path, options: tuple[str, ...]
) -> None:
    """Nobody has to tell the daemon."""
    rng = Random(5)
    with stalkd(disk, *options) as (daemon, wire):
        jobs = {}
        for _ in range(100):
            number = put(wire, body := rng.randbytes(500))
            assert number is not None
            jobs[number] = body
        for _ in range(3):
            other = take_all(disk)
            assert free(disk) == 0
            jobs |= fill(wire, rng)
            shuffle(wire, jobs, rng, 2_000)
            delete(wire, jobs, shuffled(jobs, rng)[:20])
            assert not lines_about(daemon, "log_stalled")
            other.unlink()
            number = put(wire, body := rng.randbytes(5_000))
            assert number is not None
            jobs[number] = body
            assert state(wire) == "ok"
        daemon.kill()
    must_be_intact(disk)
    with stalkd(disk, *options) as (_, wire):
        must_have(wire, jobs)


@each_way
def test_moving_jobs_ends_where_the_disk_is_full(disk: Path, options: tuple[str, ...]) -> None:
    """Into a tube with a long name, so that they take more room there; and all else goes on."""
    rng, target = Random(6), b"t" * 200
    with stalkd(disk, *options) as (daemon, wire):
        jobs = {}
        for _ in range(800):
            number = put(wire, body := rng.randbytes(10))
            if number is None:
                break
            jobs[number] = body
        take_all(disk)
        reply = wire.ask(b"move-jobs default ready %b 4000000" % target)
        assert reply == b"OUT_OF_MEMORY" or reply.startswith(b"MOVED ")
        fill(wire, rng)
        assert wire.ask(b"move-jobs default ready %b 4000000" % target) == b"OUT_OF_MEMORY"
        delete(wire, jobs, shuffled(jobs, rng)[:20])
        assert not lines_about(daemon, "log_stalled")
        daemon.kill()
    must_be_intact(disk)


@each_way
def test_many_who_move_jobs_at_once_do_not_use_up_the_reserve(
    disk: Path, options: tuple[str, ...]
) -> None:
    """Though all that they send arrives in one round: else nobody would be answered any more."""
    rng, target = Random(7), b"t" * 200
    there = b"move-jobs default ready %b 40\r\n" % target
    back = b"move-jobs %b ready default 40\r\n" % target
    with stalkd(disk, *options) as (daemon, wire), ExitStack() as stack:
        for _ in range(800):
            put(wire, rng.randbytes(10))
        take_all(disk)
        wires = [stack.enter_context(daemon.connect()) for _ in range(40)]
        for each in wires:
            each.send((there + back) * 20)
        replies = [each.read_line() for each in wires for _ in range(40)]
        assert b"OUT_OF_MEMORY\r\n" in replies
        assert not lines_about(daemon, "log_stalled")
        daemon.kill()
    must_be_intact(disk)


def test_a_job_for_which_there_is_no_room_disturbs_nobody(disk: Path) -> None:
    """A body larger than the disk is refused, and smaller ones are still taken."""
    with stalkd(disk, "-z", "4000000") as (_, wire):
        assert put(wire, b"x" * 2_000_000) is None
        number = put(wire, b"x")
        assert number is not None
        assert put(wire, b"x" * 700_000) is None
        must_have(wire, {number: b"x"})


def test_a_disk_without_any_room_for_a_log_is_told(disk: Path) -> None:
    """In words, with exit code 1; nothing is left behind that would stop a later start."""
    (disk / "log").mkdir()
    other = take_all(disk)
    done = run(*FREE, "-b", str(disk / "log"))
    assert done.returncode == 1
    assert "the disk is full; make some room" in done.stderr.splitlines()[-1]
    other.unlink()
    with stalkd(disk) as (_, wire):
        assert put(wire, b"x") == 1
