"""New code while something else happens: fewer processes, none that begins, no room for another."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from stalkd_client import Queue

from support.workers import is_alive, wait_until, worker

HASTY = [
    *(sys.executable, "-P", "-c"),
    """
from stalkd_client.worker import main
from stalkd_client.worker.crews import scaling
scaling.CALM_S = 1.0
main()
""",
]
"""A worker that does not wait long before it has fewer processes."""

HANGS = """
import pathlib, threading
pathlib.Path("hangs").touch()
threading.Event().wait()
"""
"""What the beginning of a module does so that it is never loaded."""


def code_of(directory: Path, text: str, before: str = "") -> None:
    """Write another module; its size differs, so no cache is taken for it."""
    code = f"{before}\ndef run(message):\n    return {text!r}\n"
    (directory / "fresh.py").write_text(code)


def result(url: str, tube: str, number: int) -> object:
    """Have a job done; return what came out."""
    with Queue(tube, url) as queue:
        queue.push(number)
    with Queue(f"{tube}.out", url) as queue:
        (found,) = queue.pop(1, timeout=20)
    return found


def test_a_process_that_is_not_needed_any_more_is_not_reloaded(
    url: str, tube: str, tmp_path: Path
) -> None:
    """Else the new one would be there for ever, and no reload could begin after this one."""
    code_of(tmp_path, "old")
    options = ("-q", tube, "-o", f"{tube}.out", "--autoscale", "0..1", "fresh:run")
    with worker(url, *options, cwd=tmp_path, command=HASTY) as made:
        made.wait_for("working")
        code_of(tmp_path, "hangs", HANGS)
        made.signal(signal.SIGHUP)
        made.wait_for("processes=0")
        wait_until(lambda: not made.children(), "a process is left")
        made.wait_for(" reloaded")
        code_of(tmp_path, "new code")
        made.signal(signal.SIGHUP)
        made.wait_for(" reloaded", 2)
        assert result(url, tube, 1) == "new code"
        assert not made.count("reload-failed")
        assert made.stop() == 0


def test_code_that_never_begins_is_replaced(url: str, tube: str, tmp_path: Path) -> None:
    code_of(tmp_path, "old", HANGS)
    options = ("-q", tube, "-o", f"{tube}.out", "fresh:run")
    with worker(url, *options, cwd=tmp_path) as made:
        wait_until((tmp_path / "hangs").exists)
        (old,) = made.children()
        code_of(tmp_path, "new code")
        made.signal(signal.SIGHUP)
        made.wait_for(" reloaded")
        wait_until(lambda: not is_alive(old))
        assert len(made.children()) == 1
        assert result(url, tube, 1) == "new code"
        assert made.stop() == 0


def test_newer_code_replaces_what_never_begins(url: str, tube: str, tmp_path: Path) -> None:
    """Also where that was to follow another one, which works on meanwhile."""
    code_of(tmp_path, "old")
    options = ("-q", tube, "-o", f"{tube}.out", "fresh:run")
    with worker(url, *options, cwd=tmp_path) as made:
        made.wait_for("working")
        code_of(tmp_path, "hangs", HANGS)
        made.signal(signal.SIGHUP)
        wait_until((tmp_path / "hangs").exists)
        assert result(url, tube, 1) == "old"
        code_of(tmp_path, "new code")
        made.signal(signal.SIGHUP)
        made.wait_for(" reloaded")
        assert result(url, tube, 2) == "new code"
        assert len(made.children()) == 1
        assert not made.count("reload-failed")
        assert made.stop() == 0


def test_new_code_is_no_good_because_the_old_has_died(url: str, tube: str, tmp_path: Path) -> None:
    """Then the new process has its place at once, before it is known that it cannot begin."""
    code_of(tmp_path, "old")
    with worker(url, "-q", tube, "fresh:run", cwd=tmp_path) as made:
        made.wait_for("working")
        (old,) = made.children()
        go = tmp_path / "go"
        waits = (
            f"import pathlib, time\nwhile not pathlib.Path({str(go)!r}).exists(): time.sleep(.01)"
        )
        code_of(tmp_path, "new code", f"{waits}\nraise RuntimeError('no')\n")
        made.signal(signal.SIGHUP)
        made.wait_for("reloading")
        os.kill(old, signal.SIGKILL)
        made.wait_for("process-ended")
        go.touch()
        made.wait_for("reload-failed")
        assert not made.count(" reloaded")
        assert made.stop() == 0


FEW: int = 8
"""Descriptors that a process cannot be started with, as it takes nine; and enough for poll()."""


@contextmanager
def few_descriptors(pid: int) -> Iterator[None]:
    """Let a process have next to none meanwhile, but those that it has."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (FEW, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of others are Linux's")
def test_a_reload_that_has_no_room_for_a_process_fails(url: str, tube: str, tmp_path: Path) -> None:
    code_of(tmp_path, "old")
    options = ("-q", tube, "-o", f"{tube}.out", "-p", "2", "--no-report", "fresh:run")
    with worker(url, *options, cwd=tmp_path) as made:
        made.wait_for("working")
        assert result(url, tube, 1) == "old"
        wait_until(lambda: len(made.children()) == 2)
        code_of(tmp_path, "new code")
        with few_descriptors(made.process.pid):
            made.signal(signal.SIGHUP)
            made.wait_for("process-not-started")
            made.wait_for("reload-failed")
        assert result(url, tube, 2) == "old"
        made.signal(signal.SIGHUP)
        made.wait_for(" reloaded")
        assert result(url, tube, 3) == "new code"
        assert made.stop() == 0
