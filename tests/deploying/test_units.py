"""The units of systemd: well formed, narrow, and true to what the programs need and do."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from stalkd_client import Queue
from stalkd_client.worker.cli import stalk_worker

from support.command import logging_to, put, running, take
from support.daemon import start_stalkd
from support.handed import TCP, handed
from support.manager import service_manager
from support.units import DIRECTORY, UNITS, allowed_calls, command, copies, setting, settings
from support.workers import wait_until, worker

ROOT = DIRECTORY.parent
DAEMON, WORKER = "stalkd.service", "stalk-worker@.service"


def has_own_network() -> bool:
    """Whether a test may have a network namespace, as with PrivateNetwork=."""
    try:
        return subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode == 0  # noqa: PLW1510 - the code is the answer
    except OSError:
        return False


@pytest.mark.needs("systemd-analyze")
def test_systemd_finds_no_fault(tmp_path: Path) -> None:
    words = ["systemd-analyze", "verify", "--man=no", *copies(tmp_path)]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize(("name", "most"), [(DAEMON, 10), (WORKER, 20)])
def test_little_is_exposed(name: str, most: int) -> None:
    """In tenths, from 0 to 100; what systemd calls "OK" begins below 45."""
    words = ["systemd-analyze", "security", "--offline=true", f"--threshold={most}", "--no-pager"]
    done = subprocess.run(
        [*words, str(DIRECTORY / name)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_wheel_carries_the_units() -> None:
    prefix = Path(sysconfig.get_path("data"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    for unit in UNITS:
        target = shared[f"systemd/{unit.name}"]
        assert target == f"share/stalkd/systemd/{unit.name}"
        assert (prefix / target).read_bytes() == unit.read_bytes()


@pytest.mark.parametrize(("name", "page"), [(DAEMON, "stalkd.1"), (WORKER, "stalk-worker.1")])
def test_exit_codes_that_end_it_are_known(name: str, page: str) -> None:
    text = (ROOT / "man" / page).read_text().split(".Sh EXIT STATUS")[1].split("\n.Sh ")[0]
    known = set(re.findall(r"^\.It (\d+)", text, re.MULTILINE))
    prevented = set(setting(name, "RestartPreventExitStatus").split())
    assert {"2"} <= prevented <= known - {"0"}


def test_a_worker_has_longer_to_stop_than_its_jobs_have() -> None:
    (grace,) = (each for each in stalk_worker.params if each.name == "grace")
    seconds = float(setting(WORKER, "TimeoutStopSec").removesuffix("s"))
    assert isinstance(grace.default, float)
    assert seconds >= grace.default + 10


@pytest.fixture
def state() -> Iterator[Path]:
    """A state directory that has a log with three jobs."""
    with service_manager() as manager:
        path = Path(manager.address).parent
        with logging_to(path / "stalkd") as (_, wire):
            for body in (b"a", b"b", b"c"):
                put(wire, body)
        yield path


def test_the_daemon_as_systemd_runs_it(state: Path) -> None:
    """A passed socket, a log to be read, messages in their order, signs of life, and the end."""
    microseconds = str(int(setting(DAEMON, "WatchdogSec").removesuffix("min")) * 60_000_000 // 300)
    words = command(DAEMON, state, STALKD_OPTIONS="-z 100")
    if has_own_network():  # It needs none: that is why PrivateNetwork= may be set.
        words = ["/usr/bin/env", "unshare", "-n", *words]
    with service_manager() as manager:
        environment = manager.environment(WATCHDOG_USEC=microseconds)
        with running(command=[*environment, *handed(TCP, command=words)]) as daemon:
            *reading, ready = manager.wait_for("READY=1")
            assert reading[0] == ["EXTEND_TIMEOUT_USEC=60000000", "STATUS=reading the log"]
            assert ready == ["READY=1", "STATUS=serving 3 jobs"]
            with daemon.connect() as wire:
                assert take(wire, b"reserve") == (1, b"a")
                assert wire.ask(b"put 0 0 60 101\r\n" + bytes(101)) == b"JOB_TOO_BIG"
            assert [manager.next(), manager.next()] == [["WATCHDOG=1"]] * 2
            daemon.signal(signal.SIGTERM)
            manager.wait_for("STOPPING=1")
            assert daemon.wait() == 0


RESTARTING = """
import os, pathlib, socket, sys, time
listener = socket.create_server(("127.0.0.1", 0))
os.dup2(os.dup2(listener.fileno(), 100), 3)
for number in (1, 2):
    while not pathlib.Path(sys.argv[1], f"start-{number}").exists(): time.sleep(0.005)
    if not (child := os.fork()):
        os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
        os.execv(sys.argv[2], sys.argv[2:])
    os.waitpid(child, 0)
    pathlib.Path(sys.argv[1], f"ended-{number}").touch()
"""
"""What systemd does with a service and its socket at a restart, or an upgrade."""


def test_a_restart_refuses_nobody_and_loses_nothing(state: Path) -> None:
    """The socket stays: who connects between two daemons waits, and is served by the next."""
    (state / "start-1").touch()
    full = [sys.executable, "-c", RESTARTING, str(state), *command(DAEMON, state)]
    with running(command=full) as systemd:
        with systemd.connect() as wire:
            assert put(wire, b"d") == 4
            assert take(wire, b"reserve") == (1, b"a")
            os.kill(_child_of(systemd.pid), signal.SIGTERM)
            wire.expect_closed()
        wait_until((state / "ended-1").exists)
        with systemd.connect() as wire:
            wire.send(b"reserve\r\n")
            wire.expect_silence()
            (state / "start-2").touch()
            wire.expect(b"RESERVED 1 1\r\na\r\n")
            assert put(wire, b"e") == 5
        os.kill(_child_of(systemd.pid), signal.SIGTERM)
        assert systemd.wait() == 0


@pytest.mark.needs("strace", "systemd-analyze")
def test_the_daemon_needs_no_more_than_it_is_allowed(state: Path, tmp_path: Path) -> None:
    """Neither system calls nor kinds of sockets, nor memory that is written and executed."""
    trace = tmp_path / "trace"
    words = ["strace", "-f", "-qq", "-o", str(trace)]
    with service_manager() as manager:
        full = [*manager.environment(), *words, *handed(TCP, command=command(DAEMON, state))]
        with running(command=full) as daemon:
            manager.wait_for("READY=1")
            with daemon.connect() as wire:
                put(wire, b"x")
                assert wire.ask(b"delete 1") == b"DELETED"
            os.kill(_child_of(daemon.pid), signal.SIGTERM)
            assert daemon.wait() == 0
    _check(trace, DAEMON, "stalkd")
    assert settings(DAEMON)["MemoryDenyWriteExecute"] == ["yes"]


@pytest.mark.needs("strace", "systemd-analyze")
def test_a_worker_needs_no_more_than_it_is_allowed(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    (tmp_path / "mail.py").write_text("def send(number):\n    return number * 2\n")
    (tmp_path / "mail.toml").write_text(
        '[[stage]]\nhandler = "mail:send"\nqueue = "mail"\noutput = "sent"\n'
    )
    (program, file) = command(WORKER, tmp_path, "mail")
    assert file == "/etc/stalkd/workers/mail.toml"
    with start_stalkd() as daemon, service_manager() as manager:
        url = f"stalkd://{daemon.host}:{daemon.port}"
        full = [*manager.environment(), "strace", "-f", "-qq", "-o", str(trace), program]
        with worker(url, str(tmp_path / "mail.toml"), command=full) as made:
            manager.wait_for("READY=1")
            with Queue("mail", url) as mail, Queue("sent", url) as sent:
                mail.push(21)
                assert sent.pop(1, timeout=30) == [42]
            os.kill(_child_of(made.process.pid), signal.SIGHUP)  # As ExecReload= does.
            made.wait_for("reloaded")
            os.kill(_child_of(made.process.pid), signal.SIGTERM)
            manager.wait_for("STOPPING=1")
            assert made.wait() == 0
    _check(trace, WORKER, "stalk-worker")


def _child_of(pid: int) -> int:
    """The one child of a process: of strace, or of what stands for systemd."""
    (child,) = wait_until(lambda: Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return int(child)


def _check(trace: Path, name: str, program: str) -> None:
    lines = trace.read_text().splitlines()
    begun = re.compile(rf'execve\("\S+/bin/{program}"')
    (start,) = (number for number, line in enumerate(lines) if begun.search(line))
    text = "\n".join(lines[start:])
    made = set(re.findall(r"^\d+ +(\w+)\(", text, re.MULTILINE))
    assert {"openat", "sendto"} <= made
    assert made <= allowed_calls(settings(name)["SystemCallFilter"])
    families = set(re.findall(r"\bsocket\((AF_\w+)", text))
    assert families
    assert families <= set(setting(name, "RestrictAddressFamilies").split())
    assert not re.findall(r"PROT_\w*\|?PROT_WRITE\|PROT_EXEC", text)
