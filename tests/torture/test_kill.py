"""A daemon that is killed at any instant keeps all that it acknowledged; one that is stopped, too.

`make torture ROUNDS=1000` does the same for longer, with another seed each time.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

from support.command import FREE, STALKD, running
from support.daemon import Daemon
from torture.rounds import Torture

KILLS = 8
"""Rounds of each test: a second each."""

STOPS = 4

PUT = b"put 0 0 60 1\r\nx\r\n"

MANY = 50_000
"""Jobs that take some tenths of a second to read."""


def test_a_killed_daemon_keeps_all_that_it_acknowledged(tmp_path: Path) -> None:
    """And brings nothing back that was deleted, and gives no id twice."""
    go_through(tmp_path, KILLS, gently=False)


def test_a_stopped_daemon_keeps_all_that_it_acknowledged(tmp_path: Path) -> None:
    """The same with TERM under load, and it ends with exit code 0."""
    go_through(tmp_path, STOPS, gently=True)


def go_through(directory: Path, rounds: int, *, gently: bool) -> None:
    # Another seed each time: much depends on instants anyway, which nobody can repeat.
    torture = Torture(directory, secrets.randbits(32), print)
    for number in range(1, rounds + 1):
        torture.round(number, gently=gently)
    torture.finish()


def test_a_daemon_that_is_killed_while_it_reads_its_log_loses_nothing(tmp_path: Path) -> None:
    """However often; what a client is told that waits meanwhile is true."""
    rng = Random(secrets.randbits(32))
    options = (*FREE, "-b", str(tmp_path), "-F")
    with running(*options) as daemon, daemon.connect() as wire:
        wire.send(PUT * MANY)
        wire.expect(b"".join(b"INSERTED %d\r\n" % number for number in range(1, MANY + 1)))
        daemon.kill()
    numbers = range(1, 6)
    told = {number for number in numbers if was_told(number, options, rng.uniform(0, 0.5))}
    with running(*options) as daemon, daemon.connect() as wire:
        size = int(wire.ask(b"stats").split()[1])
        jobs = re.search(rb"current-jobs-ready: (\d+)", wire.read_exact(size + 2))
        gone = {number for number in numbers if wire.ask(b"delete %d" % number) == b"NOT_FOUND"}
        assert told <= gone
        assert jobs is not None
        assert int(jobs[1]) == MANY - len(gone)


def was_told(number: int, options: Sequence[str], seconds: float) -> bool:
    """Ask a daemon that starts to delete a job, and kill it: whether it had answered."""
    daemon = Daemon([*STALKD, *options])
    try:
        daemon.wait_until_listening()
        with daemon.connect() as wire:
            wire.send(b"delete %d\r\n" % number)
            time.sleep(seconds)
            daemon.kill()
            with suppress(ConnectionResetError):
                return wire.socket.recv(100) == b"DELETED\r\n"
            return False
    finally:
        daemon.close()
