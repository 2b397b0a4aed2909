"""-b: a daemon that keeps a write-ahead log, as an operator meets it."""

from __future__ import annotations

import os
import pwd
import re
import signal
from pathlib import Path

import pytest

from support.command import (
    FREE,
    after,
    complaint,
    failing,
    logging_to,
    numbers,
    put,
    run,
    running,
    segments,
    take,
    wait_for,
)
from support.daemon import Wire

EXIT_LOG_LOST = 74

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may become somebody else")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A directory that is to be made."""
    return tmp_path / "a" / "wal"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def last_word(path: Path, *options: str, code: int = 1) -> str:
    """What a daemon that cannot use the log says before it ends with this exit code."""
    done = run(*FREE, "-b", str(path), *options)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    *before, line = done.stderr.splitlines()
    assert all(" INFO listening " in each for each in before), done.stderr
    assert line.startswith("stalkd: ")
    return line


# -- the directory --------------------------------------------------------------------------------


def test_the_directory_is_made(path: Path) -> None:
    """With those above it, and for this user only."""
    with logging_to(path) as (daemon, wire):
        put(wire)
        assert mode(path) == mode(path.parent) == 0o700
        names = {each.name for each in path.iterdir()}
        assert names == {"lock", "reserve", "wal.0000000001"}
        assert {mode(each) for each in path.iterdir()} == {0o600}
        assert (path / "lock").read_text() == f"{daemon.pid}\n"


def test_a_directory_that_is_there_keeps_its_mode(path: Path) -> None:
    """Somebody has chosen it."""
    path.mkdir(parents=True)
    path.chmod(0o750)
    with logging_to(path) as (_, wire):
        put(wire)
        assert mode(path) == 0o750


@needs_root
def test_another_user_makes_it(tmp_path: Path) -> None:
    """With -u it belongs to that user."""
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        pytest.skip("there is no user `nobody`")
    home = Path(f"/tmp/stalkd-{os.getpid()}")  # noqa: S108 - tmp_path is closed to nobody
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    try:
        with logging_to(home / "wal", "-u", "nobody") as (_, wire):
            put(wire)
            assert {each.stat().st_uid for each in (home / "wal").iterdir()} == {nobody.pw_uid}
    finally:
        for each in [*home.glob("wal/*")]:
            each.unlink()
        for directory in [*home.glob("wal"), home]:
            directory.rmdir()


def test_a_new_log_is_told(path: Path) -> None:
    """It may be that a disk is not mounted; at the next start there is nothing to tell."""
    for count in (1, 0):
        with logging_to(path) as (daemon, wire):
            put(wire)
            told = [each for each in daemon.log if f"INFO log_created directory={path}" in each]
            assert len(told) == count


def test_a_path_that_cannot_be_used(path: Path) -> None:
    """The line says what to do, and does not only point at an option."""
    (path / "reserve").mkdir(parents=True)
    done = run(*FREE, "-b", str(path))
    assert done.returncode == 1
    assert done.stderr.endswith("has the name of a file of the log; move it away\n")
    (path / "link").symlink_to(path / "nowhere")
    assert last_word(path / "link").endswith("no directory can be made there; give another path")


def test_a_second_daemon_is_refused(path: Path) -> None:
    """In one line with the pid of the first, which is not disturbed; when that is gone, it starts.

    Even if it was killed: there is nothing to clean up.
    """
    with logging_to(path) as (daemon, wire):
        put(wire, b"mine")
        line = complaint(*FREE, "-b", str(path), code=1)
        assert str(path) in line
        assert f"in use by process {daemon.pid}" in line
        assert take(wire, b"peek 1") == (1, b"mine")
        daemon.kill()
    with logging_to(path) as (_, wire):
        assert take(wire, b"peek 1") == (1, b"mine")


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    """Neither as the directory nor above it; the line names it."""
    (tmp_path / "file").touch()
    assert "Not a directory" in complaint(*FREE, "-b", str(tmp_path / "file"), code=1)
    assert "Not a directory" in complaint(*FREE, "-b", str(tmp_path / "file" / "wal"), code=1)


def test_a_directory_that_is_closed_to_the_user(path: Path) -> None:
    """The line says what to do about it."""
    path.mkdir(parents=True)
    path.chmod(0o500)
    become = ("-u", "nobody") if os.getuid() == 0 else ()
    line = complaint(*FREE, "-b", str(path), *become, code=1)
    assert f"cannot use the log in {path}" in line
    assert "Permission denied: give this user the right to it" in line


def test_a_directory_of_beanstalkd_is_refused(tmp_path: Path) -> None:
    """Its jobs are not read, so nobody should believe that they are here; they stay untouched."""
    theirs = tmp_path / "binlog.1"
    theirs.write_bytes(b"\x07\0\0\0" + bytes(100))
    assert "beanstalkd" in last_word(tmp_path)
    assert theirs.read_bytes() == b"\x07\0\0\0" + bytes(100)
    assert segments(tmp_path) == []


def test_damage_is_refused(path: Path) -> None:
    """With the file, the place, and the command that saves what can be saved."""
    with logging_to(path) as (daemon, wire):
        put(wire, b"one" * 100)
        put(wire, b"two" * 100)
        assert daemon.terminate() == 0
    (segment,) = segments(path)
    good = segment.read_bytes()
    segment.write_bytes(good.replace(b"one", b"ONE", 1))
    line = last_word(path)
    assert re.search(rf"{segment} offset \d+: damaged", line)
    assert f"stalkd --salvage {path} --into NEW" in line
    assert segment.read_bytes() != good


def test_a_torn_end_is_repaired_and_told(path: Path) -> None:
    """A power cut may leave the last write half done: a warning, and all before it is there."""
    with logging_to(path, "-F") as (daemon, wire):
        put(wire, b"one" * 100)
        put(wire, b"two" * 100)
        daemon.kill()
    (segment,) = segments(path)
    data = segment.read_bytes()
    segment.write_bytes(data[: data.index(b"two") + 100])
    for warnings in (1, 0):
        with logging_to(path) as (daemon, wire):
            assert take(wire, b"peek 1") == (1, b"one" * 100)
            assert wire.ask(b"peek 2") == b"NOT_FOUND"
            repaired = [each for each in daemon.log if " WARNING log_repaired " in each]
            assert len(repaired) == warnings
            assert all(str(segment) in each for each in repaired)
            assert daemon.terminate() == 0


# -- signals --------------------------------------------------------------------------------------


def test_stops_while_it_reads_the_log(path: Path) -> None:
    """At once and in good order; the log is as it was."""
    with logging_to(path) as (daemon, wire):
        for _ in range(100):
            put(wire)
        assert daemon.terminate() == 0
    before = [each.read_bytes() for each in segments(path)]
    hook = (
        "import os, signal\n"
        "import stalkd.journal.replay as replay\n"
        "replay.BATCH = 1\n"
        "real = replay.Memory.apply\n"
        "def apply(memory, record):\n"
        "    real(memory, record)\n"
        "    if len(memory.jobs) == 10: os.kill(os.getpid(), signal.SIGTERM)\n"
        "replay.Memory.apply = apply\n"
    )
    with running(*FREE, "-b", str(path), command=after(hook)) as daemon:
        assert daemon.wait() == 0
        assert [line.split()[2] for line in daemon.log[1:]] == ["stopping", "stopped"]
    assert [each.read_bytes() for each in segments(path)] == before


def test_drains(path: Path) -> None:
    """As without a log; the next start takes jobs again."""
    with logging_to(path) as (daemon, wire):
        put(wire)
        daemon.signal(signal.SIGUSR1)
        assert "jobs=1" in wait_for(daemon, "draining")[0]
        wire.send(b"put 0 0 60 1\r\nx\r\n")
        wire.expect(b"DRAINING\r\n")
        assert numbers(wire, b"stats")["draining"] == "true"
        assert daemon.terminate() == 0
    with logging_to(path) as (_, wire):
        assert numbers(wire, b"stats")["draining"] == "false"
        put(wire)


# -- statistics -----------------------------------------------------------------------------------

KEYS = "oldest-index current-index records-migrated records-written max-size".split()
OWN_KEYS = "bytes-live bytes-on-disk syncs records-per-sync last-sync-ms state".split()


def binlog(wire: Wire) -> dict[str, str]:
    told = numbers(wire, b"stats")
    return {
        key.removeprefix("binlog-"): value
        for key, value in told.items()
        if key.startswith("binlog-")
    }


def test_statistics_of_the_log(path: Path) -> None:
    """The keys of beanstalkd with true values, and more."""
    with logging_to(path, "-f0", "-s", "100000") as (daemon, wire):
        put(wire, b"x" * 1_000)
        told = binlog(wire)
        assert [*told] == KEYS + OWN_KEYS
        assert (told["oldest-index"], told["current-index"]) == ("1", "1")
        assert (told["max-size"], told["records-migrated"]) == ("100000", "0")
        assert (told["syncs"], told["state"]) == ("1", "ok")
        assert told["records-written"] in {"2", "3"}  # A mark follows within 50 milliseconds.
        assert 1_000 < int(told["bytes-live"]) < 1_200
        files = sum(each.stat().st_size for each in path.iterdir() if each.name != "lock")
        assert int(told["bytes-on-disk"]) == files
        assert float(told["last-sync-ms"]) > 0
        assert float(told["records-per-sync"]) == 2
        assert numbers(wire, b"stats-job 1")["file"] == "1"
        assert daemon.terminate() == 0
    with logging_to(path) as (_, wire):
        assert binlog(wire)["current-index"] == "2"
        assert numbers(wire, b"stats-job 1")["file"] == "1"


def test_statistics_without_a_log() -> None:
    """Beanstalkd's keys are 0, the others are left out."""
    with running(*FREE) as daemon, daemon.connect() as wire:
        put(wire)
        assert binlog(wire) == {**dict.fromkeys(KEYS, "0"), "max-size": "10485760"}
        assert numbers(wire, b"stats-job 1")["file"] == "0"


# -- a disk that fails ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["sync", "write"])
def test_goes_on_without_the_log(path: Path, method: str) -> None:
    """Puts are refused, jobs can be worked off, it is said loudly, and at the end with 74."""
    switch = path.parent / "fail"
    with (
        logging_to(path, "-f0", command=failing(method, switch)) as (daemon, wire),
        daemon.connect() as other,
    ):
        put(wire, b"safe")
        switch.touch()
        wire.send(b"put 0 0 60 4\r\nlost\r\n")
        wire.expect_closed()
        assert 'reason="Input/output error"' in wait_for(daemon, "log_failed")[0]
        other.send(b"put 0 0 60 1\r\nx\r\n")
        other.expect(b"DRAINING\r\n")
        told = numbers(other, b"stats")
        assert (told["draining"], told["binlog-state"]) == ("true", "failed")
        assert take(other, b"reserve") == (1, b"safe")
        assert daemon.terminate() == EXIT_LOG_LOST
        assert " ERROR stopped_without_log " in daemon.log[-1]
    with logging_to(path) as (_, wire):
        assert take(wire, b"peek 1") == (1, b"safe")


@pytest.mark.parametrize("method", ["sync", "write"])
def test_ends_with_the_log_if_told_to(path: Path, method: str) -> None:
    """--exit-on-log-error: at once, with 74."""
    switch = path.parent / "fail"
    command = failing(method, switch)
    with logging_to(path, "--exit-on-log-error", command=command) as (daemon, wire):
        put(wire, b"safe")
        switch.touch()
        wire.send(b"put 0 0 60 4\r\nlost\r\n")
        assert daemon.wait() == EXIT_LOG_LOST
        assert " ERROR stopped_without_log " in daemon.log[-1]
