"""`make demo` shows what it should, ends by itself, and leaves nothing behind, however it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.workers import is_alive, wait_until

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 50


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Where the demo's temporary files are; afterwards nothing and nobody may be there."""
    yield tmp_path
    assert not list(tmp_path.iterdir())
    wait_until(lambda: not [pid for pid in processes_of(tmp_path) if is_alive(pid)])


def processes_of(place: Path) -> list[int]:
    """All that has the directory in its environment, as children inherit it."""
    mark = f"TMPDIR={place}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:  # It is another user's, or has ended.
            continue
    return found


@contextmanager
def demo(place: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "demo.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(place)},
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    assert any(text in line for line in process.stdout)


def test_every_file_is_examined_and_the_missing_one_put_aside(place: Path) -> None:
    with demo(place) as process:
        shown, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, shown
    folders = ("stalkd", "client", "tests", "bench", "examples")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    lines = sum(path.read_bytes().count(b"\n") for path in files)
    assert re.search(rf"^ +{len(files)} +{lines}  in \d+ folders$", shown, re.MULTILINE), shown
    assert len(re.findall("WARNING retried queue=files", shown)) == 1
    assert len(re.findall("ERROR buried queue=files", shown)) == 1
    assert re.search(
        "^put aside: .*'examples/not_there.py', attempt 2, FileNotFoundError", shown, re.MULTILINE
    )


@pytest.mark.parametrize(
    "moment", ["listening", "examined --burst", "stages:Folders", "0 examined", "retried"]
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_interrupted(moment: str, number: signal.Signals, place: Path) -> None:
    with demo(place) as process:
        read_until(process, moment)
        process.send_signal(number)
        shown, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, shown
    assert "Traceback" not in shown


def test_nobody_has_to_read_to_the_end(place: Path) -> None:
    """As in `make demo | head`."""
    with demo(place) as process:
        read_until(process, "listening")
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(PATIENCE_S) == 0
