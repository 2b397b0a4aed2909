"""-u: another user once the sockets listen. Only root can try it."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import FREE, QUICK_S, STALKD, after, complaint, running
from support.daemon import HOST, Wire

UNPRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may become somebody else")
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")


def as_nobody(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as `nobody`, in a directory that it may enter."""
    return subprocess.run(
        command,
        check=False,
        cwd="/",
        user="nobody",
        group=pwd.getpwnam("nobody").pw_gid,
        extra_groups=[],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=QUICK_S,
    )


@pytest.fixture(scope="module")
def nobody() -> pwd.struct_passwd:
    """The user `nobody`, where there is one."""
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        pytest.skip("there is no user `nobody`")


@pytest.fixture(scope="module")
def able_nobody(nobody: pwd.struct_passwd) -> pwd.struct_passwd:
    """The same, if it can run the Python that the tests run with."""
    try:
        done = as_nobody(sys.executable, "-P", "-c", "import stalkd.server.daemon")
    except PermissionError:
        pytest.skip(f"`nobody` may not run {sys.executable}")
    if done.returncode:
        pytest.skip(f"`nobody` may not read {sys.prefix}: {done.stderr.splitlines()[-1]}")
    return nobody


@pytest.fixture
def path() -> Iterator[Path]:
    """A path for a socket, in a directory of root."""
    with tempfile.TemporaryDirectory(prefix="stalkd-") as directory:
        yield Path(directory) / "socket"


def status(pid: int) -> dict[str, list[str]]:
    text = Path(f"/proc/{pid}/status").read_text()
    return {name: rest.split() for name, _, rest in map(split_status, text.splitlines())}


def split_status(line: str) -> tuple[str, str, str]:
    return line.partition(":")


@needs_root
@needs_proc
@pytest.mark.parametrize(
    "option", [("-u", "nobody"), ("-unobody",), ("--user=nobody",)], ids=" ".join
)
def test_runs_as_another_user(nobody: pwd.struct_passwd, option: tuple[str, ...]) -> None:
    """With that user's ids and groups, all of them, for good; and it serves."""
    with running(*FREE, *option) as daemon, daemon.connect() as wire:
        assert wire.ask(b"use x") == b"USING x"
        told = status(daemon.pid)
        assert told["Uid"] == [str(nobody.pw_uid)] * 4
        assert told["Gid"] == [str(nobody.pw_gid)] * 4
        groups = os.getgrouplist("nobody", nobody.pw_gid)
        assert sorted(map(int, told["Groups"])) == sorted(groups)
        assert daemon.terminate() == 0


@needs_root
def test_listens_as_root_first(nobody: pwd.struct_passwd, path: Path) -> None:
    """It can use a directory that only root may write to, and ends in good order all the same."""
    with running("-l", f"unix:{path}", "-u", "nobody") as daemon:
        with Wire(str(path)) as wire:
            assert wire.ask(b"use x") == b"USING x"
        assert daemon.terminate() == 0
        assert not any("Traceback" in line for line in daemon.log)


@needs_root
def test_all_is_loaded_as_root(nobody: pwd.struct_passwd) -> None:
    """Nothing of Python need be readable for that user, for instance in a home of root's."""
    hook = """
import os, sys
class Hook:
    def find_spec(self, name, path=None, target=None):
        if os.getuid() != 0: raise ImportError(f"{name} is imported too late")
sys.meta_path.insert(0, Hook())
"""
    with running(*FREE, "-u", "nobody", command=after(hook)) as daemon, daemon.connect() as wire:
        wire.send(b"put 0 0 60 1\r\nx\r\nreserve\r\nstats\r\n")
        wire.expect(b"INSERTED 1\r\nRESERVED 1 1\r\nx\r\nOK ")
        assert daemon.terminate() == 0


@pytest.mark.parametrize("user", ["no-such-user", "", "x y"])
def test_unknown_user(user: str, path: Path) -> None:
    """One line with the name; and what was opened is closed."""
    line = complaint("-l", f"unix:{path}", "-u", user, code=1)
    assert repr(user) in line
    assert "no such user" in line
    assert not path.exists()


@needs_root
def test_only_root_may_do_it(able_nobody: pwd.struct_passwd) -> None:
    """Anybody else is told so."""
    done = as_nobody(*STALKD, *FREE, "-u", "root")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("stalkd: cannot become 'root'")
    assert "only root" in line


@needs_root
@pytest.mark.skipif(
    not UNPRIVILEGED.exists() or int(UNPRIVILEGED.read_text()) <= 1,
    reason="here every user may take any port",
)
def test_a_privileged_port(able_nobody: pwd.struct_passwd) -> None:
    """The line tells the two ways out."""
    done = as_nobody(*STALKD, "-l", HOST, "-p", "1")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"{HOST} port 1" in line
    assert "above 1023" in line
    assert "-u" in line
