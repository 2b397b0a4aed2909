"""--check and --salvage: what an operator does with a log that no daemon uses."""

from __future__ import annotations

import os
import pwd
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from zlib import crc32

import pytest

from support.command import after, complaint, logging_to, numbers, put, run, segments, take

BODIES = [name * 100 for name in (b"one", b"two", b"red", b"bed", b"end")]
"""Bodies of jobs 1 to 5, of 300 bytes each."""

TABLE = """\
       ready     delayed      buried       bytes  tube
           2           0           0         600  default
           1           1           1         900  mail
           3           1           1        1500  (all)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A directory with a log: jobs 1 and 2 in `default`, the other three in `mail`."""
    path = tmp_path / "wal"
    with logging_to(path) as (daemon, wire):
        for body in BODIES[:2]:
            put(wire, body)
        assert wire.ask(b"use mail") == b"USING mail"
        put(wire, BODIES[2])
        put(wire, BODIES[3], b"0 3600 60")
        put(wire, BODIES[4])
        take(wire, b"reserve-job 5")
        assert wire.ask(b"bury 5 0") == b"BURIED"
        assert daemon.terminate() == 0
    return path


def files(path: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in path.iterdir()}


def flip(path: Path, body: bytes) -> int:
    """Change a byte of the first job with this body; give the offset."""
    data = bytearray(path.read_bytes())
    offset = data.index(body) + 50
    data[offset] ^= 1
    path.write_bytes(data)
    return offset


def checked(path: Path, code: int) -> str:
    """What --check prints, with this exit code and nothing on stderr."""
    done = run("--check", str(path))
    assert (done.returncode, done.stderr) == (code, "")
    return done.stdout


# -- check ----------------------------------------------------------------------------------------


def test_check_of_a_good_log(path: Path) -> None:
    """Exit code 0, jobs and bytes for each tube and state, and the log is not touched."""
    before = files(path)
    table, _, last = checked(path, 0).rpartition("intact: ")
    assert table == TABLE
    assert re.fullmatch(r"5 jobs, \d+ records, \d+ bytes in 1 segments\n", last)
    assert {**files(path), "lock": b""} == {**before, "lock": b""}


def test_check_of_a_copy(path: Path, tmp_path: Path) -> None:
    """Only the segments are needed; a log on a disk that cannot be written can be checked."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for each in segments(path):
        shutil.copy(each, copy)
    before = files(copy)
    assert checked(copy, 0) == checked(path, 0)
    assert files(copy) == before


def test_check_tells_paused_tubes(path: Path) -> None:
    with logging_to(path) as (_, wire):
        assert wire.ask(b"pause-tube default 1000") == b"PAUSED"
    assert "         600  default (paused)\n" in checked(path, 0)


def test_check_of_a_killed_daemons_log(path: Path) -> None:
    """What it was given last is there, and there is nothing to say about it."""
    with logging_to(path) as (daemon, wire):
        put(wire, b"last")
        daemon.kill()
    told = checked(path, 0)
    assert "intact: 6 jobs" in told
    assert "note:" not in told


def test_check_of_a_torn_log(path: Path) -> None:
    """What a power cut leaves is good, up to where it is torn; it says where, and exits with 0."""
    with logging_to(path, "-F") as (daemon, wire):
        put(wire, b"torn" * 100)
        daemon.kill()
    last = segments(path)[-1]
    last.write_bytes(last.read_bytes()[:200])
    told = checked(path, 0)
    assert TABLE in told
    assert re.search(rf"^note: {last} offset \d+: the log was torn here", told, re.MULTILINE)
    assert "intact: 5 jobs" in told


def test_check_of_a_directory_without_a_log(tmp_path: Path) -> None:
    """A daemon would start there, so it is good; but whoever mistook the path sees it."""
    told = checked(tmp_path, 0)
    assert f"note: {tmp_path} holds no log; a daemon would begin one there\n" in told
    assert told.endswith("intact: 0 jobs, 0 records, 0 bytes in 0 segments\n")
    assert list(tmp_path.iterdir()) == []


def test_a_segment_only_begun_behind_the_end_is_not_called_damaged(path: Path) -> None:
    """A kill leaves one now and then, and nothing is lost by it."""
    (segment,) = segments(path)
    begun = path / "wal.0000000002"
    begun.write_bytes(segment.read_bytes()[:8] + bytes(200))
    told = checked(path, 0)
    assert f"{segment} offset {segment.stat().st_size}: the log was torn here" in told
    assert f"; {begun} offset 0: torn, too\n" in told
    assert "damaged" not in told


@pytest.mark.parametrize("what", ["beanstalkd", "directory", "newer", "renamed"])
def test_what_cannot_be_checked_is_not_called_damaged(path: Path, what: str) -> None:
    """Nothing is lost, and the line says what to do."""
    (segment,) = segments(path)
    if what == "newer":
        data = segment.read_bytes()
        header = data[:8] + (2).to_bytes(4, "little") + data[12:44]
        segment.write_bytes(header + crc32(header).to_bytes(4, "little") + data[48:])
    else:
        segment.rename(segment.with_name("binlog.1" if what == "beanstalkd" else "wal.0000000007"))
    if what == "directory":
        segment.mkdir()
    told = checked(path, 1)
    assert told.startswith("cannot check: ")
    assert told.count("\n") == 1
    word = {"directory": "move it away", "newer": "that version", "renamed": "rename it back"}
    assert word.get(what, "use another directory") in told


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become somebody else")
@pytest.mark.parametrize("closed", ["path", "segment"])
def test_a_log_of_another_user(path: Path, closed: str) -> None:
    """The line names the directory, and says what to do."""
    try:
        nobody = pwd.getpwnam("nobody").pw_uid
    except KeyError:
        pytest.skip("there is no user `nobody`")
    with TemporaryDirectory() as open_to_all:  # tmp_path is closed to others.
        log = Path(open_to_all) / "wal"
        shutil.copytree(path, log)
        Path(open_to_all).chmod(0o755)
        log.chmod(0o700 if closed == "path" else 0o755)
        command = after(f"import os, stalkd.cli, stalkd.server.offline; os.setuid({nobody})")
        check = run("--check", str(log), command=command)
        salvage = run("--salvage", str(log), "--into", f"{log}2", command=command)
    for done in (check, salvage):
        assert done.returncode == 1
        told = done.stdout or done.stderr
        assert f"cannot use the log in {log}" in told
        assert "Permission denied: give this user the right to it" in told
    assert "damaged" not in check.stdout


def test_check_of_a_damaged_log(path: Path) -> None:
    """Exit code 1, and one line with file, place and command to go on with."""
    (segment,) = segments(path)
    offset = flip(segment, BODIES[1])
    told = checked(path, 1)
    assert told.count("\n") == 1
    found = re.match(rf"damaged: {segment} offset (\d+): damaged", told)
    assert found is not None
    assert offset - 200 < int(found[1]) < offset
    assert f"stalkd --salvage {path} --into NEW" in told


def test_a_log_in_use_is_left_alone(path: Path, tmp_path: Path) -> None:
    """Neither checked nor salvaged: one line with the pid of the daemon."""
    new = tmp_path / "new"
    with logging_to(path) as (daemon, _):
        in_use = f"in use by process {daemon.pid}"
        assert in_use in complaint("--check", str(path), code=1)
        assert in_use in complaint("--salvage", str(path), "--into", str(new), code=1)
    assert not new.exists()


@pytest.mark.parametrize("name", ["missing", "file"])
def test_there_must_be_a_directory(tmp_path: Path, name: str) -> None:
    """And none is made."""
    (tmp_path / "file").touch()
    where, new = str(tmp_path / name), str(tmp_path / "new")
    assert f"{where} is no directory" in complaint("--check", where, code=1)
    assert f"{where} is no directory" in complaint("--salvage", where, "--into", new, code=1)
    assert {each.name for each in tmp_path.iterdir()} == {"file"}


# -- salvage --------------------------------------------------------------------------------------


def salvaged(path: Path, new: Path, code: int) -> str:
    """What --salvage prints, with this exit code and nothing on stderr; the old log is the same."""
    before = files(path)
    done = run("--salvage", str(path), "--into", str(new))
    assert (done.returncode, done.stderr) == (code, "")
    assert {**files(path), "lock": b""} == {**before, "lock": b""}
    return done.stdout


def test_salvage_of_a_damaged_log(path: Path, tmp_path: Path) -> None:
    """All but what was damaged is in the new log, which a daemon starts on; what is lost is said.

    New jobs do not get the id of the lost one.
    """
    new = tmp_path / "new"
    (segment,) = segments(path)
    flip(segment, BODIES[1])
    told = salvaged(path, new, 1)
    found = re.search(rf"^lost: {segment.name}: damaged from (\d+) to (\d+)", told, re.MULTILINE)
    assert found is not None
    assert 300 < int(found[2]) - int(found[1]) < 500
    assert "note: jobs whose end was written in a lost part are there again" in told
    assert re.search(r"^copied: 4 jobs from \d+ records to ", told, re.MULTILINE)
    assert "intact: 4 jobs" in checked(new, 0)
    with logging_to(new) as (_, wire):
        assert take(wire, b"peek 1") == (1, BODIES[0])
        assert wire.ask(b"peek 2") == b"NOT_FOUND"
        states = [numbers(wire, b"stats-job %d" % number)["state"] for number in (1, 3, 4, 5)]
        assert states == ["ready", "ready", "delayed", "buried"]
        assert put(wire) == 6


def test_salvage_of_a_good_log(path: Path, tmp_path: Path) -> None:
    """Is a copy, and exits with 0."""
    new = tmp_path / "a" / "new"
    told = salvaged(path, new, 0)
    assert told.startswith(TABLE)
    assert "lost:" not in told
    assert checked(new, 0).startswith(TABLE)
    with logging_to(new) as (_, wire):
        assert [take(wire, b"peek %d" % number)[1] for number in range(1, 6)] == BODIES
        assert put(wire) == 6


def test_salvage_may_bring_back_deleted_jobs(path: Path, tmp_path: Path) -> None:
    """If their end stood in the damaged part. Better twice than never, and it is said."""
    with logging_to(path) as (daemon, wire):
        assert wire.ask(b"delete 1") == b"DELETED"
        assert daemon.terminate() == 0
    last = segments(path)[-1]
    data = bytearray(last.read_bytes())
    data[data.index(bytes([5, 1]) + bytes(7))] ^= 0xFF  # the kind in the record DELETE 1
    last.write_bytes(data)
    assert checked(path, 1).startswith("damaged: ")
    told = salvaged(path, tmp_path / "new", 1)
    assert "are there again" in told
    assert "copied: 5 jobs" in told


def test_salvage_wants_a_new_directory(path: Path, tmp_path: Path) -> None:
    """Nothing is mixed with what is there already."""
    full = tmp_path / "full"
    full.mkdir()
    (full / "notes").touch()
    for target in (full, path):
        line = complaint("--salvage", str(path), "--into", str(target), code=1)
        assert f"{target} is not empty" in line
    assert [each.name for each in full.iterdir()] == ["notes"]


@pytest.mark.parametrize("target", ["{path}/new", "{path}/a/new", "{link}/new", "{path}/../wal/n"])
def test_salvage_writes_nothing_into_the_log(path: Path, tmp_path: Path, target: str) -> None:
    """However the directory within it is called."""
    link = tmp_path / "link"
    link.symlink_to(path)
    target = target.format(path=path, link=link)
    before = set(files(path))
    line = complaint("--salvage", str(path), "--into", target, code=1)
    assert f"{target} is inside {path}" in line
    assert set(files(path)) == before


def test_salvage_into_an_empty_directory(path: Path, tmp_path: Path) -> None:
    """It may be there already."""
    new = tmp_path / "new"
    new.mkdir()
    salvaged(path, new, 0)
    assert "intact: 5 jobs" in checked(new, 0)
    assert {each.name for each in tmp_path.iterdir()} == {"wal", "new"}


@pytest.mark.parametrize("cause", ["KeyboardInterrupt", "OSError(28, 'No space left')"])
def test_an_unfinished_copy_is_not_taken_for_a_log(path: Path, tmp_path: Path, cause: str) -> None:
    """It is under another name, which the line tells; the next salvage wants it out of the way."""
    new, partial = tmp_path / "new", tmp_path / "new.partial"
    hook = (
        "from stalkd.journal.log import Log\n"
        "import stalkd.journal.salvage as salvage\n"
        "salvage.WRITE_EVERY = 2\n"
        "real = Log.write\n"
        "def write(log, *args):\n"
        "    real(log, *args)\n"
        f"    raise {cause}\n"
        "Log.write = write\n"
    )
    arguments = ("--salvage", str(path), "--into", str(new))
    line = complaint(*arguments, code=1, command=after(hook))
    assert f"{partial} holds only a part of the copy: remove it" in line
    assert not new.exists()
    assert segments(partial) != []
    assert f"{partial} is left of a salvage that did not end" in complaint(*arguments, code=1)
    shutil.rmtree(partial)
    salvaged(path, new, 0)
    assert not partial.exists()


def test_salvage_from_a_disk_that_fails(path: Path, tmp_path: Path) -> None:
    """What it still gives is copied, and what it does not give is listed, zeros or not."""
    with logging_to(path) as (daemon, wire):
        for _ in range(3):
            put(wire, b"x" * 9_000)
        assert daemon.terminate() == 0
    bad = segments(path)[-1]
    hook = (
        "import errno, os\n"
        "from stalkd.journal.files import Directory\n"
        "real, pread = Directory.read, os.pread\n"
        "def fail(): raise OSError(errno.EIO, os.strerror(errno.EIO))\n"
        f"bad = {bad.name!r}\n"
        "Directory.read = lambda self, name: fail() if name == bad else real(self, name)\n"
        "os.pread = lambda fd, size, at: fail() if at == 12288 else pread(fd, size, at)\n"
    )
    new = tmp_path / "new"
    done = run("--salvage", str(path), "--into", str(new), command=after(hook))
    assert (done.returncode, done.stderr) == (1, "")
    unread = f"lost: {bad.name}: 1 of its blocks of 4096 bytes cannot be read, the first at 12288\n"
    assert unread in done.stdout
    assert "copied: 7 jobs" in done.stdout
    assert "intact: 7 jobs" in checked(new, 0)


def test_salvage_where_nothing_is_left(path: Path, tmp_path: Path) -> None:
    """Is told, and nothing is made."""
    (segment,) = segments(path)
    segment.write_bytes(bytes(1_000))
    new = tmp_path / "new"
    line = complaint("--salvage", str(path), "--into", str(new), code=1)
    assert f"no segment with a readable header: {segment.name}: " in line
    assert not new.exists()
