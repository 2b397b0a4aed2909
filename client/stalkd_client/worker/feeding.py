"""Starting a worker that ends with this program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

from stalkd_client.worker.naming import directory

PASSED_ON: Final = {
    signal.SIGTERM: signal.SIGTERM,
    signal.SIGINT: signal.SIGTERM,  # A worker that has just been started knows no other.
    signal.SIGHUP: signal.SIGHUP,
    signal.SIGUSR1: signal.SIGUSR1,
    signal.SIGUSR2: signal.SIGUSR2,
}
"""As what a worker gets the signals of its program: all that mean something to it."""


def start(
    members: Mapping[str, Any], source: str, log: int | None = None
) -> subprocess.Popen[bytes]:
    """Start a worker with a pipeline as a TOML file has it; ``source`` is its name in errors.

    ``log`` is a descriptor for its log as JSON. It stops when its standard input is closed. A
    process group of its own keeps signals of a terminal from it: this program tells it when to
    stop. Raises OSError.
    """
    descriptors = () if log is None else (log,)
    process = subprocess.Popen(  # noqa: S603 - ourselves
        [
            sys.executable,
            "-P",
            "-m",
            "stalkd_client.worker.attaching.attached",
            *map(str, descriptors),
        ],
        stdin=subprocess.PIPE,
        bufsize=0,
        pass_fds=descriptors,
        env=dict(os.environ) if log is None else _without_manager(),
        process_group=0,
    )
    # What this one forks would keep the input open after the end of this one.
    os.register_at_fork(after_in_child=partial(_let_go_of, weakref.ref(process)))
    line = json.dumps([source, directory(), members]) + "\n"
    if process.stdin is not None:
        with suppress(BrokenPipeError):  # Its log tells why it has ended.
            process.stdin.write(line.encode())
    return process


def _without_manager() -> dict[str, str]:
    """Return the environment of a worker that is in the background of a program.

    The service manager waits for what the program itself has to say.
    """
    return {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}


def let_go(process: subprocess.Popen[bytes]) -> None:
    """Close a worker's standard input: it stops, if it still runs."""
    if process.stdin is not None:
        process.stdin.close()


def _let_go_of(reference: weakref.ref[subprocess.Popen[bytes]]) -> None:
    process = reference()
    if process is not None:
        let_go(process)


def run(members: Mapping[str, Any]) -> int:
    """Run a pipeline to its end; return the exit code, below 0 if a signal ended it."""
    process = start(members, sys.argv[0] or "pipeline")
    try:
        with _passing_on(process):
            return process.wait()
    finally:
        let_go(process)


@contextmanager
def _passing_on(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Let a worker have the signals that this program gets."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Only the main thread may do that.
        return

    def pass_on(number: int, _frame: object) -> None:
        process.send_signal(PASSED_ON[signal.Signals(number)])

    before = {number: signal.signal(number, pass_on) for number in PASSED_ON}
    try:
        yield
    finally:
        for number, act in before.items():
            signal.signal(number, act)
