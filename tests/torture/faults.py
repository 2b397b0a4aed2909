"""Faults of the disk, put before a daemon by strace."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from support.command import STALKD

FAULTS = (
    "fdatasync:error=EIO",
    "fsync:error=EIO",
    "pwrite64:error=EIO",
    "pwrite64:error=ENOSPC",
    "fallocate:error=ENOSPC",
    "fallocate:error=EOPNOTSUPP",
    "ftruncate:error=EIO",
    "unlink,unlinkat:error=EIO",
)
"""What a disk may do now and then, and a daemon should live with."""

RARE = {"pwrite64:error=EIO": (400, 800), "fdatasync:error=EIO": (200, 400)}
"""Must not happen again before what the first one left is synced: then the log is lost. With small
segments that alone can take dozens of calls."""


def now_and_then(fault: str, rng: Random) -> str:
    """A fault that happens not while a daemon starts, but often after that."""
    often = rng.randint(*RARE.get(fault, (20, 60)))
    # A start syncs each file that the daemon before has not.
    first = rng.randint(60, 90) if fault.startswith("fsync:") else rng.randint(6, 40)
    return f"{fault}:when={first}+{often}"


def with_faults(
    *faults: str,
    paths: Sequence[Path] = (),
    log: str = "/dev/null",
    command: Sequence[str] = STALKD,
) -> list[str]:
    """The command that runs a daemon with faults as ``fdatasync:error=EIO:when=3+10``.

    ``paths`` are the files that they are limited to. strace counts calls for each thread. It runs
    beside the daemon, not above it: who kills the process that was started kills the daemon.
    """
    calls = ",".join(fault.partition(":")[0] for fault in faults)
    return [
        *("strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", log, "-e", f"trace={calls}"),
        *(word for fault in faults for word in ("-e", f"inject={fault}")),
        *(word for path in paths for word in ("-P", str(path))),
        *command,
    ]


def skip_unless_traceable() -> None:
    """Leave a test out where the system allows nobody to trace."""
    command = with_faults("fdatasync:error=EIO", command=["true"])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"strace cannot trace here: {done.stderr.strip()}")
