"""A real daemon whose system calls fail: what it acknowledged is there after a kill."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from support.command import FREE, STALKD, lines_about, run, running, wait_for
from support.daemon import Daemon, Wire
from torture.faults import FAULTS, now_and_then, skip_unless_traceable, with_faults
from torture.rounds import Torture

pytestmark = pytest.mark.needs("strace")

EXIT_LOG_LOST = 74

KILLING = ("openat", "pwrite64", "fallocate", "fdatasync", "fsync", "ftruncate", "unlinkat")
"""Calls around which a daemon is killed."""

KILLS = 2
"""Occurrences of each call tried in one run of the tests: others each time."""


@pytest.fixture(autouse=True, scope="module")
def traceable() -> None:
    skip_unless_traceable()


class Story:
    """One client's commands, one after the other, and which of them were answered."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.jobs: dict[int, bytes] = {}
        self.gone: set[int] = set()
        self.asked: set[int] = set()

    def tell(self, count: int, size: int = 300) -> int:
        """Put jobs and delete every third; stop where the daemon does. Return how many were put."""
        for done in range(count):
            try:
                if not self._put(b"%d " % done * (size // 4)):
                    return done
                if done % 3 == 0:
                    self._delete(max(self.jobs))
            except (AssertionError, OSError):  # It hangs up, or does not answer.
                return done
        return count

    def _put(self, body: bytes) -> bool:
        self._wire.send(b"put 0 0 60 %d\r\n%b\r\n" % (len(body), body))
        word, _, number = self._wire.read_line().partition(b" ")
        if word == b"INSERTED":
            self.jobs[int(number)] = body
        return word == b"INSERTED"

    def _delete(self, number: int) -> None:
        self.asked.add(number)
        assert self._wire.ask(b"delete %d" % number) == b"DELETED"
        del self.jobs[number]
        self.asked.remove(number)
        self.gone.add(number)

    def must_be_true(self, wire: Wire) -> None:
        """Every job that was acknowledged is there, every deleted one is not."""
        for number, body in self.jobs.items():
            head = wire.ask(b"peek %d" % number)
            if number in self.asked and head == b"NOT_FOUND":
                continue  # Deleted, though nobody was told.
            assert head == b"FOUND %d %d" % (number, len(body))
            assert wire.read_exact(len(body) + 2) == body + b"\r\n"
        for number in self.gone:
            assert wire.ask(b"peek %d" % number) == b"NOT_FOUND"


def must_be_kept(directory: Path, *stories: Story) -> None:
    """Start on what is left, without faults, and compare."""
    done = run("--check", str(directory))
    assert done.returncode == 0, done.stdout
    with running(*FREE, "-b", str(directory)) as daemon, daemon.connect() as wire:
        for story in stories:
            story.must_be_true(wire)


def faulty(directory: Path, *options: str, command: Sequence[str] = STALKD) -> list[str]:
    return [*command, *FREE, "-b", str(directory), *options]


def test_a_fault_now_and_then_loses_nothing(tmp_path: Path) -> None:
    """Under a mixed load of several clients, who notice nothing; killed after each."""
    rng = Random(secrets.randbits(32))
    torture = Torture(tmp_path, rng.getrandbits(32), print)
    torture.round(1, gently=True)
    for number, fault in enumerate(FAULTS, 2):
        torture.round(number, gently=False, fault=now_and_then(fault, rng))
    torture.finish()


@pytest.mark.parametrize("call", KILLING)
def test_killed_at_a_system_call_it_starts_again(call: str, tmp_path: Path) -> None:
    """Be it while it starts, while it writes, or while it begins or removes a segment."""
    directory = tmp_path / "log"
    rng = Random(secrets.randbits(32))
    numbers = [rng.randint(1, 4), *(rng.randint(1, 30) for _ in range(KILLS - 1))]
    stories: list[Story] = []
    for number in numbers:
        paths = [directory, *(directory / f"wal.{each:010}" for each in range(1, 30))]
        command = with_faults(f"{call}:signal=KILL:when={number}", paths=paths)
        daemon = Daemon(faulty(directory, "-s", "32768", "-f", "0", command=command))
        try:
            daemon.wait_until_listening()
            with daemon.connect() as wire:
                stories.append(Story(wire))
                stories[-1].tell(150)
            daemon.kill()
        finally:
            daemon.close()
        must_be_kept(directory, *stories)


@pytest.mark.parametrize("options", [("-f", "0"), ("-f", "5")], ids=" ".join)
@pytest.mark.parametrize("fault", ["fdatasync:error=EIO:when=2", "pwrite64:error=EIO:when=7"])
def test_one_fault_is_told_and_got_over(
    fault: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    """Two lines for the operator: which segment, why, what to do; and that it goes on."""
    directory = tmp_path / "log"
    command = with_faults(fault)
    with running(*FREE, "-b", str(directory), *options, command=command) as daemon:
        with daemon.connect() as wire:
            story = Story(wire)
            assert story.tell(100) == 100
            story.must_be_true(wire)
        (line,) = wait_for(daemon, "log_segment_failed")
        assert 'reason="Input/output error"' in line
        assert "check the disk" in line
        assert len(wait_for(daemon, "log_goes_on")) == 1
        daemon.kill()
    must_be_kept(directory, story)


@pytest.mark.parametrize(
    "faults",
    [["fdatasync:error=EIO:when=8+1"], ["pwrite64:error=EIO:when=20+1"]],
    ids=["sync", "write"],
)
def test_a_disk_that_fails_for_good(faults: list[str], tmp_path: Path) -> None:
    """Puts are refused from then on, jobs can be worked off; TERM ends it with exit code 74."""
    directory = tmp_path / "log"
    daemon = Daemon(faulty(directory, "-f", "0", command=with_faults(*faults)))
    try:
        daemon.wait_until_listening()
        with daemon.connect() as wire:
            story = Story(wire)
            assert 0 < story.tell(100) < 100
        (line,) = wait_for(daemon, "log_failed")
        assert 'reason="Input/output error"' in line
        assert "puts are refused" in line
        with daemon.connect() as wire:
            story.must_be_true(wire)
            wire.send(b"put 0 0 60 1\r\nx\r\nreserve\r\n")
            wire.expect(b"DRAINING\r\nRESERVED ")
            size = int(wire.read_line().split()[1])
            wire.read_exact(size + 2)
        assert daemon.running
        assert daemon.terminate() == EXIT_LOG_LOST
        assert "stopped_without_log" in daemon.log[-1]
    finally:
        daemon.close()
    must_be_kept(directory, story)


def test_exit_on_log_error_ends_it_at_once(tmp_path: Path) -> None:
    """With exit code 74, so that a supervisor can act."""
    directory = tmp_path / "log"
    command = with_faults("fdatasync:error=EIO:when=8+1")
    daemon = Daemon(faulty(directory, "-f", "0", "--exit-on-log-error", command=command))
    try:
        daemon.wait_until_listening()
        with daemon.connect() as wire:
            story = Story(wire)
            assert 0 < story.tell(100) < 100
        assert daemon.wait() == EXIT_LOG_LOST
        assert len(lines_about(daemon, "log_failed")) == 1
    finally:
        daemon.close()
    must_be_kept(directory, story)


@pytest.mark.parametrize("options", [("-f", "0"), ("-f", "50"), ("-F",)], ids=" ".join)
def test_a_disk_that_takes_nothing_more(options: tuple[str, ...], tmp_path: Path) -> None:
    """Whatever space was had ahead: nothing is answered that is not written."""
    directory = tmp_path / "log"
    command = with_faults("pwrite64:error=ENOSPC:when=20+1")
    with running(*FREE, "-b", str(directory), *options, command=command) as daemon:
        with daemon.connect(timeout=1) as wire:
            story = Story(wire)
            assert 0 < story.tell(100) < 100
        assert "nothing is lost" in wait_for(daemon, "log_stalled")[0]
        daemon.kill()
    must_be_kept(directory, story)


def test_a_new_segment_that_cannot_be_made(tmp_path: Path) -> None:
    """The one in use grows, and nobody notices."""
    directory = tmp_path / "log"
    paths = [directory / f"wal.{number:010}" for number in range(2, 9)]
    command = with_faults("openat:error=EIO", paths=paths)
    options = ("-f", "0", "-s", "32768")
    with running(*FREE, "-b", str(directory), *options, command=command) as daemon:
        with daemon.connect() as wire:
            story = Story(wire)
            assert story.tell(200, size=1_000) == 200
        daemon.kill()
    assert [path.name for path in directory.glob("wal.*")] == ["wal.0000000001"]
    must_be_kept(directory, story)


@pytest.mark.parametrize("call", ["openat", "pwrite64", "fallocate", "fdatasync", "fsync"])
def test_a_disk_that_fails_from_the_start(call: str, tmp_path: Path) -> None:
    """It does not start, says why, and leaves what there is as it is."""
    directory = tmp_path / "log"
    with running(*FREE, "-b", str(directory)) as daemon, daemon.connect() as wire:
        story = Story(wire)
        assert story.tell(10) == 10
        assert daemon.terminate() == 0
    paths = [directory, directory / "wal.0000000002"]
    command = with_faults(f"{call}:error=EIO:when=1+1", paths=paths)
    done = run(*FREE, "-b", str(directory), command=command)
    assert done.returncode == 1
    assert "Input/output error" in done.stderr.splitlines()[-1]
    assert "the disk fails" in done.stderr.splitlines()[-1]
    must_be_kept(directory, story)
