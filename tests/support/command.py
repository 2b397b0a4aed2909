"""The command `stalkd` as operators run it: its own process, its exit code, its words."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from stalkd.config import Config
from support.daemon import HOST, PROGRAM, REPLY_SECONDS, Daemon, Wire

STALKD = PROGRAM
"""The installed package, or the program that is one file."""

QUICK_S = 10.0
"""How long a command may take that has nothing to do."""


@dataclass
class Outcome:
    """What a command line came to; `config` is what the daemon would have been started with."""

    code: int | str
    config: Config | None
    out: str
    err: str


Command = Callable[..., Outcome]
"""Runs the command with options, inside the test and without starting a daemon."""


def after(code: str) -> list[str]:
    """The command in a Python where this code has run before."""
    return [sys.executable, "-P", "-c", f"{code}\nfrom stalkd.cli import main\nmain()"]


def run(*options: str | bytes, command: Sequence[str] = STALKD) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; for options with which it does not start."""
    return subprocess.run(
        [*command, *options],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        timeout=QUICK_S,
    )


def complaint(*options: str | bytes, code: int, command: Sequence[str] = STALKD) -> str:
    """What the command says before it ends with this exit code: one line, for people."""
    done = run(*options, command=command)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("stalkd: ")
    return lines[0]


@contextmanager
def running(*options: str, command: Sequence[str] = STALKD) -> Iterator[Daemon]:
    """A daemon that has said where it listens; it is stopped at the end."""
    daemon = Daemon([*command, *options])
    try:
        daemon.wait_until_listening()
        yield daemon
    finally:
        daemon.close()


def wait_for(daemon: Daemon, event: str, count: int = 1) -> list[str]:
    """Wait until the log has so many lines of one event, and give them."""
    deadline = time.monotonic() + REPLY_SECONDS
    while len(lines := lines_about(daemon, event)) < count:
        assert time.monotonic() < deadline, daemon.log
        time.sleep(0.001)
    return lines


def lines_about(daemon: Daemon, event: str) -> list[str]:
    """The lines of one event, so far."""
    return [line for line in daemon.log if line.split()[2:3] == [event]]


def addresses(daemon: Daemon, count: int = 1) -> list[str]:
    """Where a daemon says it listens, in order."""
    return [re.findall(r"address=(\S+)", line)[0] for line in wait_for(daemon, "listening", count)]


@contextmanager
def flood(daemon: Daemon) -> Iterator[Thread]:
    """A client in a thread that sends commands without a pause, and reads the replies."""
    with daemon.connect() as wire:
        thread = Thread(target=_say_much, args=(wire,))
        thread.start()
        try:
            yield thread
        finally:
            with suppress(OSError):  # The daemon may have ended the connection.
                wire.socket.shutdown(socket.SHUT_RDWR)
            thread.join(QUICK_S)


def _say_much(wire: Wire) -> None:
    with suppress(OSError, AssertionError):
        while True:
            wire.send(b"list-tube-used\r\n" * 2_000)
            wire.expect(b"USING default\r\n" * 2_000)


def signalled_at_import_of_trio(*numbers: signal.Signals) -> list[str]:
    """The command that gets these signals while it listens and does not serve yet."""
    kills = "; ".join(f"os.kill(os.getpid(), {number:d})" for number in numbers)
    return after(
        "import os, sys\n"
        "class Hook:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == 'trio': {kills}\n"
        "sys.meta_path.insert(0, Hook())"
    )


FREE = ("-l", HOST, "-p", "0")
"""Options that always work."""


# -- with a write-ahead log -----------------------------------------------------------------------


@contextmanager
def logging_to(
    path: Path, *options: str, command: Sequence[str] = STALKD
) -> Iterator[tuple[Daemon, Wire]]:
    """A daemon with its log in a directory, and a connection to it."""
    with (
        running(*FREE, "-b", str(path), *options, command=command) as daemon,
        daemon.connect() as wire,
    ):
        yield daemon, wire


def failing(method: str, switch: Path) -> list[str]:
    """The command in which a method of the log's files fails while the file `switch` exists."""
    return after(
        "import errno, os\n"
        "from stalkd.journal.files import File\n"
        f"real = File.{method}\n"
        "def fail(*arguments):\n"
        f"    if os.path.exists({str(switch)!r}): raise OSError(errno.EIO, 'Input/output error')\n"
        "    real(*arguments)\n"
        f"File.{method} = fail"
    )


def put(wire: Wire, body: bytes = b"x", options: bytes = b"0 0 60") -> int:
    """Put a job and give its id."""
    word, number = wire.ask(b"put %b %d\r\n%b" % (options, len(body), body)).split()
    assert word == b"INSERTED", word
    return int(number)


def take(wire: Wire, line: bytes) -> tuple[int, bytes]:
    """Send a command that gives a job, and give its id and body."""
    _, number, size = wire.ask(line).split()
    return int(number), wire.read_exact(int(size) + 2)[:-2]


def numbers(wire: Wire, line: bytes) -> dict[str, str]:
    """Send a stats command and give its mapping; values as they are written."""
    word, size = wire.ask(line).split()
    assert word == b"OK", word
    text = wire.read_exact(int(size) + 2).decode()
    return dict(line.split(": ", 1) for line in text.split("\n")[1:-2])


def segments(path: Path) -> list[Path]:
    """The files of a log, oldest first."""
    return sorted(path.glob("wal.*"))
