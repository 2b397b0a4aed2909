"""How a daemon is told to stop, or to take no more jobs."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path

import pytest

from support.command import (
    FREE,
    STALKD,
    after,
    flood,
    lines_about,
    run,
    running,
    signalled_at_import_of_trio,
    wait_for,
)
from support.daemon import Daemon
from support.workers import can_unshare, wait_until

QUICK_S = 5.0
"""How long stopping may take on a busy machine; it is not waiting for anything."""

STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def in_time(daemon: Daemon) -> int:
    """Wait for the end, which comes soon; give the exit code."""
    began = time.monotonic()
    code = daemon.wait()
    assert time.monotonic() - began < QUICK_S
    return code


@pytest.mark.parametrize("number", STOP, ids=lambda each: each.name)
def test_stops(number: signal.Signals) -> None:
    """With exit code 0 and two lines, although clients are connected, wait and hold jobs."""
    with running(*FREE) as daemon, daemon.connect() as idle, daemon.connect() as waiting:
        idle.send(b"put 0 0 60 0\r\n\r\nreserve\r\n")
        idle.expect(b"INSERTED 1\r\nRESERVED 1 0\r\n\r\n")
        waiting.send(b"watch x\r\nreserve\r\n")
        waiting.expect(b"WATCHING 2\r\n")
        daemon.signal(number)
        assert in_time(daemon) == 0
        idle.expect_closed()
        waiting.expect_closed()
        assert lines_about(daemon, "stopping")[0].endswith(f"INFO stopping signal={number.name}")
        assert daemon.log[-1].endswith("INFO stopped")


@pytest.mark.parametrize("number", STOP, ids=lambda each: each.name)
def test_answers_what_it_has_received(number: signal.Signals) -> None:
    """Commands that have arrived are run, and their replies leave before the connection ends."""
    count = 5_000
    with running(*FREE) as daemon, daemon.connect() as wire:
        assert wire.ask(b"use x") == b"USING x"
        wire.send(b"put 0 0 60 1\r\nx\r\n" * count)
        daemon.signal(number)
        wire.expect(b"".join(b"INSERTED %d\r\n" % i for i in range(1, count + 1)))
        wire.expect_closed()
        assert in_time(daemon) == 0


def test_stops_although_somebody_never_stops_sending() -> None:
    """There is an end to what is still answered."""
    with running(*FREE) as daemon, flood(daemon) as flooding:
        with daemon.connect() as wire:
            assert wire.ask(b"use x") == b"USING x"
        assert flooding.is_alive()
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0


@pytest.mark.parametrize("number", STOP, ids=lambda each: each.name)
def test_stops_while_it_starts(number: signal.Signals) -> None:
    """A signal between listening and serving counts as one that comes later: all in good order."""
    with tempfile.TemporaryDirectory(prefix="stalkd-") as directory:
        path = Path(directory) / "socket"
        done = run("-l", f"unix:{path}", command=signalled_at_import_of_trio(number))
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert f"stopping signal={number.name}" in done.stderr
        assert not path.exists()


@pytest.mark.parametrize(
    "numbers",
    [(signal.SIGTERM, signal.SIGINT), (signal.SIGTERM, signal.SIGHUP), STOP],
    ids=lambda numbers: "+".join(each.name for each in numbers),
)
def test_several_signals_are_as_good_as_one(numbers: tuple[signal.Signals, ...]) -> None:
    """Whoever presses Ctrl-C while the system shuts down disturbs nothing."""
    with tempfile.TemporaryDirectory(prefix="stalkd-") as directory:
        path = Path(directory) / "socket"
        done = run("-l", f"unix:{path}", command=signalled_at_import_of_trio(*numbers))
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert not path.exists()


def test_drains() -> None:
    """After SIGUSR1 puts are refused and all else goes on, until somebody restarts it."""
    with running(*FREE) as daemon, daemon.connect() as wire:
        wire.send(b"put 0 0 60 1\r\nx\r\n")
        wire.expect(b"INSERTED 1\r\n")
        for count in (1, 2):
            daemon.signal(signal.SIGUSR1)
            (*_, line) = wait_for(daemon, "draining", count)
            assert "jobs=1" in line
            wire.send(b"put 0 0 60 1\r\nx\r\n")
            wire.expect(b"DRAINING\r\n")
        assert wire.ask(b"reserve") == b"RESERVED 1 1"
        wire.expect(b"x\r\n")
        assert wire.ask(b"release 1 0 0") == b"RELEASED"
        assert wire.ask(b"delete 1") == b"DELETED"
        size = int(wire.ask(b"stats").split()[1])
        assert b"\ndraining: true\n" in wire.read_exact(size + 2)
        assert daemon.terminate() == 0


def test_drains_from_the_start() -> None:
    """SIGUSR1 is not lost while the daemon starts, nor does it end it."""
    command = signalled_at_import_of_trio(signal.SIGUSR1)
    with running(*FREE, command=command) as daemon, daemon.connect() as wire:
        wire.send(b"put 0 0 60 1\r\nx\r\n")
        wire.expect(b"DRAINING\r\n")


def test_a_bug_ends_it_with_its_own_exit_code() -> None:
    """A broken invariant: traceback in the log, exit code 70, and the socket is removed."""
    hook = """
from stalkd.broker.queues import Queues
def bug(*_): raise ZeroDivisionError("for the test")
Queues.add_ready = bug
"""
    with tempfile.TemporaryDirectory(prefix="stalkd-") as directory:
        path = Path(directory) / "socket"
        with running("-l", f"unix:{path}", command=after(hook)) as daemon:
            with daemon.connect() as wire:
                wire.send(b"put 0 0 60 0\r\n\r\n")
                wire.expect_closed()
            assert in_time(daemon) == 70
            assert "report" in lines_about(daemon, "failed")[0]
            assert any("ZeroDivisionError: for the test" in line for line in daemon.log)
        assert not path.exists()


def test_nohup_is_respected() -> None:
    """A hang-up that was to be ignored from the start is ignored."""
    hook = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    with running(*FREE, command=after(hook)) as daemon, daemon.connect() as wire:
        assert wire.ask(b"use x") == b"USING x"
        daemon.signal(signal.SIGHUP)
        assert wire.ask(b"use y") == b"USING y"
        assert daemon.terminate() == 0


@pytest.mark.skipif(not can_unshare(), reason="needs a process namespace of its own")
def test_it_may_be_process_1(tmp_path: Path) -> None:
    """As in a container: it ends at a signal, and sees off what others have left to it."""
    go = tmp_path / "go"
    orphan = f"(while [ ! -e {go} ]; do sleep 0.01; done &)"
    command = [
        "unshare",
        "-fp",
        "--kill-child",
        "--mount-proc",
        "sh",
        "-c",
        f'{orphan}; exec "$@"',
        "sh",
        *STALKD,
    ]
    with running(*FREE, command=command) as daemon, daemon.connect() as wire:
        assert wire.ask(b"use x") == b"USING x"
        (process_1,) = _children(daemon.pid)
        assert _children(process_1)
        go.touch()
        wait_until(lambda: not _children(process_1))
        os.kill(process_1, signal.SIGTERM)
        assert daemon.wait() == 0


def _children(pid: int) -> list[int]:
    """The children of a process, also those that have ended and nobody has asked for."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
