"""Starts the server to be measured on a core of its own, and stops it again."""

import os
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from bench.meters import cpu_clock, pin, waited_ns

HOST = "127.0.0.1"

# Command lines by name. {python}, {port} and nothing else is filled in.
COMMANDS = {
    "stalkd": "{python} -m stalkd -l 127.0.0.1 -p {port}",
    "beanstalkd": "beanstalkd -l 127.0.0.1 -p {port}",
}

# Importing everything takes a Python daemon about 0.3 s, reading a log of a million jobs 10 s; a
# busy machine several times that.
START_LIMIT_S = 60.0
# Freeing a million jobs at exit takes a second or two; after that we use SIGKILL.
STOP_LIMIT_S = 10.0
# Short against any start-up, long enough not to keep the core busy.
_POLL_S = 0.005

_NS_PER_S = 1_000_000_000

# `python -m stalkd` means the one beside this directory, installed or not.
_ROOT = Path(__file__).resolve().parent.parent


class ServerFailed(Exception):
    """The server could not be started, or ended by itself."""


@dataclass(frozen=True)
class Start:
    """What it took from exec to the first reply; ``waited`` as in `Clocks`."""

    seconds: float
    cpu_s: float
    waited: float


@dataclass(frozen=True)
class Target:
    """A running server, as the load generator needs to know it."""

    name: str
    pid: int
    port: int
    start: Start
    log: Path | None  # the directory of its log


def command_line(server: str, python: str, port: int) -> list[str]:
    """Words of the command for `server`: a name of `COMMANDS`, or a command with {port} in it."""
    template = COMMANDS.get(server, server)
    if "{port}" not in template:
        raise ServerFailed(f"{server!r} is not of {sorted(COMMANDS)}, nor a command with {{port}}")
    return [word.format(python=python, port=port) for word in shlex.split(template)]


@contextmanager
def running(
    server: str, python: str, core: int, options: Sequence[str] = (), log: Path | None = None
) -> Iterator[Target]:
    """A fresh server on a free loopback port, pinned to `core`; stopped at the end.

    It gets `options` besides its own; `log` is the directory that these make it keep a log in.
    """
    port = _free_port()
    words = [*command_line(server, python, port), *options]
    with tempfile.TemporaryFile() as errors:
        started = time.perf_counter_ns()
        process = _spawn(words, core, errors)
        try:
            _wait_until_it_answers(process, port, errors)
            yield Target(server, process.pid, port, _start(process.pid, started), log)
        except Exception:
            _must_be_alive(process, errors)  # else its end explains the failure best
            raise
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _spawn(words: list[str], core: int, errors: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            words,
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            # In the child, so that no thread escapes it; this process has no threads now.
            preexec_fn=partial(pin, core),  # noqa: PLW1509 - no thread runs here
        )
    except OSError as error:
        raise ServerFailed(f"cannot start {shlex.join(words)}: {error}") from error


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, errors: IO[bytes]) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        _must_be_alive(process, errors)
        if _answers(port, deadline - time.monotonic()):
            return
        time.sleep(_POLL_S)
    raise ServerFailed(f"no answer within {START_LIMIT_S} s")


def _answers(port: int, limit_s: float) -> bool:
    """Whether there is a server; if it is busy starting, waits for its answer."""
    try:
        with socket.create_connection((HOST, port), max(limit_s, _POLL_S)) as peer:
            peer.sendall(b"list-tube-used\r\n")
            return peer.recv(64) == b"USING default\r\n"
    except OSError:
        return False


def _start(pid: int, started: int) -> Start:
    wall = time.perf_counter_ns() - started
    cpu = time.clock_gettime_ns(cpu_clock(pid))
    return Start(wall / _NS_PER_S, cpu / _NS_PER_S, waited_ns(pid) / wall)


def _must_be_alive(process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
    if process.poll() is None:
        return
    errors.seek(0)
    said = errors.read().decode(errors="replace")
    raise ServerFailed(f"the server ended with code {process.returncode}:\n{said}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    os.kill(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
