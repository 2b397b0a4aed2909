"""A program that is one file is one process, leaves nothing behind, and needs no Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from stalkd import __version__
from support.command import FREE, running
from support.daemon import HOST, Daemon

LIMIT_S = 0.5
ATTEMPTS = 10  # only as many as are needed: the promise is not about a busy machine

CODE = re.compile(r"\.(py|pyc|zip)$|\.so[.\d]*$")
GLIBC = re.compile(r"/(ld-linux[^/]*|lib(c|m|dl|pthread|rt|util|resolv|nss_\w+))\.so\.\d+$")


def test_it_listens_within_half_a_second(stalkd: str) -> None:
    times: list[float] = []
    while len(times) < ATTEMPTS and min(times, default=LIMIT_S) >= LIMIT_S:
        begun = time.monotonic()
        with running(*FREE, command=[stalkd]) as daemon:
            daemon.connect().close()
            times.append(time.monotonic() - begun)
    assert min(times) < LIMIT_S, times


@pytest.mark.needs("strace")
def test_it_takes_no_code_from_the_machine_but_the_c_library(stalkd: str, tmp_path: Path) -> None:
    """Also when everything is loaded that one run ever loads."""
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-z", "-e", "trace=open,openat,execve", "-o", str(trace)]
    with running(*FREE, command=[*strace, stalkd]) as daemon, daemon.connect() as wire:
        assert wire.ask(b"use x") == b"USING x"
        os.kill(int(re.findall(r"pid=(\d+)", daemon.log[0])[0]), 15)
        assert daemon.wait() == 0
    opened = set(re.findall(r'"([^"]+)"', trace.read_text()))
    assert "/proc/self/exe" in opened
    assert not [each for each in opened if CODE.search(each) and not GLIBC.search(each)]


def test_it_is_one_process_and_unpacks_nothing(
    stalkd: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a kill leaves nothing behind, and who waits for the process waits for the daemon."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with running(*FREE, command=[stalkd]) as daemon, daemon.connect() as wire:
        assert wire.ask(b"use x") == b"USING x"
        assert f"pid={daemon.pid} " in daemon.log[0]
        assert Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text() == ""
        assert list(tmp_path.iterdir()) == []
        daemon.kill()
    assert list(tmp_path.iterdir()) == []


def test_it_may_be_replaced_while_it_runs(stalkd: str, tmp_path: Path) -> None:
    """An upgrade: the running daemon goes on with the file that it was."""
    copy = shutil.copy(stalkd, tmp_path / "stalkd")
    with running(*FREE, "--idle-exit", "60", command=[str(copy)]) as daemon:
        (tmp_path / "new").write_text("something else")
        (tmp_path / "new").rename(copy)
        with daemon.connect() as wire:
            assert wire.ask(b"put 0 0 60 1\r\nx") == b"INSERTED 1"
        assert daemon.terminate() == 0


def test_it_ends_when_it_is_idle(stalkd: str) -> None:
    with running(*FREE, "--idle-exit", "1", command=[stalkd]) as daemon:
        assert daemon.wait(10) == 0


def test_the_environment_of_a_python_does_not_change_it(
    stalkd: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "click.py").write_text("raise SystemExit(99)")
    for name in ("PYTHONPATH", "PYTHONHOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert subprocess.check_output([stalkd, "-v"], text=True) == f"stalkd {__version__}\n"


def test_a_log_is_checked(stalkd: str, tmp_path: Path) -> None:
    with running(*FREE, "-b", str(tmp_path / "log"), command=[stalkd]) as daemon:
        with daemon.connect() as wire:
            assert wire.ask(b"put 0 0 60 1\r\nx") == b"INSERTED 1"
        daemon.kill()
    told = subprocess.check_output([stalkd, "--check", str(tmp_path / "log")], text=True)
    assert re.search(r"\b1 job", told), told


def namespaces() -> list[str]:
    """The command that lets another be process 1; empty where the system does not allow that."""
    command = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if shutil.which("unshare") is None:
        return []
    allowed = subprocess.run([*command, "true"], check=False, capture_output=True).returncode == 0
    return [*command, "--kill-child"] if allowed else []


def test_it_may_be_process_1(stalkd: str) -> None:
    """As in a container, where signals without a handler do not arrive."""
    if not (unshare := namespaces()):
        pytest.skip("this system allows no namespaces")
    daemon = Daemon([*unshare, stalkd, "-l", HOST, "-p", "0"])
    try:
        daemon.wait_until_listening()
        assert "pid=1 " in daemon.log[0]
        children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text()
        os.kill(int(children), 15)
        assert daemon.wait(10) == 0
    finally:
        daemon.close()
