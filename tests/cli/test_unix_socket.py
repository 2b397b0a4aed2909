"""Unix sockets: made, replaced when stale, never taken from a living server, removed at the end."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import addresses, complaint, running
from support.daemon import HOST, Wire


@pytest.fixture
def path() -> Iterator[Path]:
    """A path that is short enough for a socket; pytest's own directories may not be."""
    with tempfile.TemporaryDirectory(prefix="stalkd-") as directory:
        yield Path(directory) / "socket"


def listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener


def serves(path: Path) -> bool:
    with Wire(str(path)) as wire:
        return wire.ask(b"use x") == b"USING x"


def test_made_and_removed(path: Path) -> None:
    """It is there while the daemon runs, and no longer."""
    with running("-l", f"unix:{path}") as daemon:
        assert addresses(daemon) == [f"unix:{path}"]
        assert not any("hint=" in line for line in daemon.log)
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert serves(path)
        assert daemon.terminate() == 0
    assert not path.exists()


def test_beside_an_internet_address(path: Path) -> None:
    """Both reach the same daemon."""
    with running("-l", HOST, "-l", f"unix:{path}", "-p0") as daemon:
        assert len(addresses(daemon, 2)) == 2
        with daemon.connect() as producer, Wire(str(path)) as worker:
            producer.send(b"put 0 0 60 1\r\nx\r\n")
            producer.expect(b"INSERTED 1\r\n")
            assert worker.ask(b"reserve") == b"RESERVED 1 1"


def test_a_stale_one_is_replaced(path: Path) -> None:
    """What a crashed server left behind is no obstacle."""
    listen(path).close()
    assert path.exists()
    with running("-l", f"unix:{path}"):
        assert serves(path)
    assert not path.exists()


def test_left_behind_by_a_crash_of_our_own(path: Path) -> None:
    """Also when that server was stalkd."""
    with running("-l", f"unix:{path}") as daemon:
        daemon.kill()
    assert path.exists()
    with running("-l", f"unix:{path}"):
        assert serves(path)


def test_a_living_one_is_refused(path: Path) -> None:
    """A server that somebody uses is never cut off."""
    with running("-l", f"unix:{path}"):
        line = complaint("-l", f"unix:{path}", code=1)
        assert str(path) in line
        assert "another server" in line
        assert serves(path)


def test_a_living_one_that_is_busy_is_refused(path: Path) -> None:
    """Nor is one that does not accept just now."""
    with listen(path) as listener:
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
            for waiting in (first, second):
                waiting.settimeout(0)
                try:
                    waiting.connect(str(path))
                except BlockingIOError:
                    break
            assert "another server" in complaint("-l", f"unix:{path}", code=1)
    assert path.exists()


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_what_is_no_socket_is_refused(path: Path, kind: str) -> None:
    """A mistyped path costs nobody a file."""
    if kind == "directory":
        path.mkdir()
    else:
        target = path.with_name("precious") if kind == "link" else path
        target.write_text("precious")
        if kind == "link":
            path.symlink_to(target)
    line = complaint("-l", f"unix:{path}", code=1)
    assert "no socket" in line
    assert path.exists()
    assert path.is_dir() or path.read_text() == "precious"


def test_a_dangling_link_is_refused(path: Path) -> None:
    """It is somebody's, wherever it leads."""
    path.symlink_to(path.with_name("nowhere"))
    assert str(path) in complaint("-l", f"unix:{path}", code=1)
    assert path.is_symlink()


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing/socket", "No such file or directory"), ("x" * 200, "too long"), (".", "no socket")],
    ids=["missing", "long", "directory"],
)
def test_impossible_paths(path: Path, name: str, reason: str) -> None:
    """One line each, with the path and the system's reason."""
    line = complaint("-l", f"unix:{path.parent / name}", code=1)
    assert str(path.parent) in line
    assert reason in line


def test_one_that_replaced_ours_is_left_alone(path: Path) -> None:
    """If somebody else has taken the path meanwhile, it stays theirs."""
    with running("-l", f"unix:{path}") as daemon:
        path.unlink()
        with listen(path):
            assert daemon.terminate() == 0
            assert path.exists()


def test_one_that_is_gone_already(path: Path) -> None:
    """Nothing to remove is nothing to complain about."""
    with running("-l", f"unix:{path}") as daemon:
        path.unlink()
        assert daemon.terminate() == 0
        assert not any("Traceback" in line for line in daemon.log)


def test_a_path_with_spaces(path: Path) -> None:
    """It is quoted in the log, and works."""
    spaced = path.with_name("a b")
    with running("-l", HOST, "-p0", "-l", f"unix:{spaced}") as daemon:
        assert addresses(daemon, 2)[1].startswith('"unix:')
        assert serves(spaced)


def test_a_relative_path(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is relative to where the daemon is started."""
    monkeypatch.chdir(path.parent)
    with running("-l", "unix:socket"):
        assert serves(path)
    assert list(path.parent.iterdir()) == []


def test_the_mode_follows_the_umask(path: Path) -> None:
    """As with any file that is made."""
    before = os.umask(0o077)
    try:
        with running("-l", f"unix:{path}"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
    finally:
        os.umask(before)
