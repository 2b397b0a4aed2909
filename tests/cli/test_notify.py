"""What the daemon tells a service manager (sd_notify(3)), run as systemd runs it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.command import (
    FREE,
    STALKD,
    after,
    failing,
    lines_about,
    logging_to,
    put,
    run,
    running,
    segments,
    wait_for,
)
from support.daemon import Daemon
from support.manager import Manager, service_manager

WATCHDOG_US = 200_000
BEAT_S = WATCHDOG_US / 2 / 1_000_000

SLOW_REPLAY = after(
    "import stalkd.server.start as start\n"
    "from stalkd.journal.replay import Replay\n"
    "start.PROGRESS_S = 0\n"  # Every batch is reported, and there is one more.
    "real = Replay.run\n"
    "def run(self):\n"
    "    yield\n"
    "    yield from real(self)\n"
    "Replay.run = run"
)


@contextmanager
def managed(
    *options: str, command: Sequence[str] = STALKD, **variables: str
) -> Iterator[tuple[Manager, Daemon]]:
    """A daemon that tells a manager how it goes."""
    with service_manager() as manager:
        full = [*manager.environment(**variables), *command]
        with running(*FREE, *options, command=full) as daemon:
            yield manager, daemon


def test_a_daemon_without_a_log_is_ready_and_stops() -> None:
    """Both in their order, and nothing else is said."""
    with managed() as (manager, daemon):
        assert manager.next() == ["READY=1", "STATUS=serving 0 jobs"]
        with daemon.connect() as wire:
            put(wire)
        manager.expect_silence(0.1)
        assert daemon.terminate() == 0
        assert manager.rest() == [["STOPPING=1", "STATUS=stopping"]]


def test_it_is_ready_when_the_log_has_been_read(tmp_path: Path) -> None:
    with logging_to(tmp_path) as (_, wire):
        put(wire)
    with service_manager() as manager:
        command = [*manager.environment(), *SLOW_REPLAY]
        with running(*FREE, "-b", str(tmp_path), command=command) as daemon:
            first, *progress, last = manager.wait_for("READY=1")
            assert first == ["EXTEND_TIMEOUT_USEC=60000000", "STATUS=reading the log"]
            assert progress
            for message in progress:
                assert message[0] == first[0]
                assert message[1].startswith("STATUS=reading the log: ")
            assert last == ["READY=1", "STATUS=serving 1 job"]
            assert lines_about(daemon, "replayed")


def test_it_is_not_ready_before(tmp_path: Path) -> None:
    """As long as the log is being read, only that is told; a signal then ends it."""
    with logging_to(tmp_path) as (_, wire):
        put(wire)
    endless = after(
        "import time\n"
        "from stalkd.journal.replay import Replay\n"
        "import stalkd.server.start as start\n"
        "start.PROGRESS_S = 0\n"
        "def run(self):\n"
        "    while True:\n"
        "        time.sleep(0.01)\n"
        "        yield\n"
        "Replay.run = run"
    )
    with service_manager() as manager:
        command = [*manager.environment(), *endless]
        with running(*FREE, "-b", str(tmp_path), command=command) as daemon:
            manager.wait_for("STATUS=reading the log: ")
            assert daemon.terminate() == 0
            *reading, last = manager.rest()
            assert all(each[0].startswith("EXTEND_TIMEOUT_USEC=") for each in reading)
            assert last[0] == "STOPPING=1"


def test_a_log_that_cannot_be_used_is_the_status(tmp_path: Path) -> None:
    with logging_to(tmp_path) as (_, wire):
        put(wire)
    (first,) = segments(tmp_path)
    first.rename(tmp_path / "wal.0000000007")
    with service_manager() as manager:
        done = run(*FREE, "-b", str(tmp_path), command=[*manager.environment(), *STALKD])
        assert done.returncode == 1
        _, last = manager.rest()
        assert last[0].startswith(f"STATUS={tmp_path}")


def test_draining_is_told_and_its_end() -> None:
    with managed() as (manager, daemon), daemon.connect() as wire:
        manager.wait_for("READY=1")
        put(wire)
        daemon.signal(signal.SIGUSR1)
        assert manager.next() == ["STATUS=draining, 1 job"]
        wire.ask(b"drain off")
        assert manager.next() == ["STATUS=serving 1 job"]


def test_a_lost_log_is_told(tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    command = failing("write", switch)
    with service_manager() as manager:
        command = [*manager.environment(), *command]
        with logging_to(tmp_path / "log", "-f", "0", command=command) as (daemon, wire):
            manager.wait_for("READY=1")
            switch.touch()
            wire.send(b"put 0 0 60 1\r\nx\r\n")
            (message,) = manager.next()
            assert message.startswith("STATUS=log failed: ")
            assert message.endswith("puts are refused, 1 job")
            assert daemon.terminate() == 74


def test_signs_of_life_come_in_time() -> None:
    with service_manager() as manager:
        command = [*manager.environment(WATCHDOG_USEC=str(WATCHDOG_US)), *STALKD]
        with running(*FREE, command=command):
            manager.wait_for("READY=1")
            heard = []
            for _ in range(5):
                assert manager.next() == ["WATCHDOG=1"]
                heard.append(time.monotonic())
            assert heard[-1] - heard[0] >= 4 * BEAT_S * 0.9


def test_a_reactor_that_hangs_gives_no_sign_of_life(tmp_path: Path) -> None:
    """Its other tasks and threads may be as lively as they like."""
    hung, go = tmp_path / "hung", tmp_path / "go"
    hanging = after(
        "import pathlib, time\n"
        "from stalkd.protocol.service import Service\n"
        "real = Service.receive\n"
        "def receive(session, data, now):\n"
        f"    pathlib.Path({str(hung)!r}).touch()\n"
        f"    while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.005)\n"
        "    real(session, data, now)\n"
        "Service.receive = staticmethod(receive)"
    )
    with service_manager() as manager:
        command = [*manager.environment(WATCHDOG_USEC=str(WATCHDOG_US)), *hanging]
        with running(*FREE, command=command) as daemon, daemon.connect() as wire:
            manager.wait_for("WATCHDOG=1")
            wire.send(b"list-tube-used\r\n")
            while not hung.exists():
                time.sleep(0.001)
            manager.rest()
            manager.expect_silence(3 * BEAT_S)
            go.touch()
            manager.wait_for("WATCHDOG=1")
            wire.expect(b"USING default\r\n")


@pytest.mark.parametrize(
    "watchdog",
    [
        {},
        {"WATCHDOG_USEC": "x"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"},
    ],
    ids=str,
)
def test_nobody_waits_for_signs_of_life(watchdog: dict[str, str]) -> None:
    """Not asked for, or by what was meant for another process."""
    with managed(**watchdog) as (manager, _):
        manager.wait_for("READY=1")
        manager.expect_silence(0.1)


def test_an_abstract_socket() -> None:
    with (
        Manager(f"@stalkd-test-{time.monotonic_ns()}") as manager,
        running(*FREE, command=[*manager.environment(), *STALKD]),
    ):
        assert manager.next()[0] == "READY=1"


@pytest.mark.parametrize(
    "address", ["/nowhere/notify", "relative", "vsock:2:1", "@", "@nobody", "/" + "x" * 200]
)
def test_a_socket_that_cannot_be_used_stops_nothing(address: str) -> None:
    """It is told once, and all goes on."""
    command = ["env", f"NOTIFY_SOCKET={address}", "WATCHDOG_USEC=20000", *STALKD]
    with running(*FREE, command=command) as daemon:
        (line,) = wait_for(daemon, "cannot_notify")
        assert f"socket={address}" in line
        with daemon.connect() as wire:
            put(wire)
        assert daemon.terminate() == 0
        assert len(lines_about(daemon, "cannot_notify")) == 1
