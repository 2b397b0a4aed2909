"""Programs in groups of their own, and what they and all that they start cost."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.meters import rolled_up_bytes

# Idle as they are, all end at once, but PyQS: its question to SQS takes up to 20 s.
_STOP_S = 2.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Of /proc/PID/stat, behind the name: user and system time, and those of children that have ended.
_TIMES = slice(11, 15)


@contextmanager
def running(
    words: Sequence[str], log: Path, env: Mapping[str, str] | None = None, *, talks: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """A program; at its end it and all that it has started are gone. Its output is the log.

    One that talks has pipes for its input and output.
    """
    with log.open("wb") as file:
        process = subprocess.Popen(
            words,
            cwd=log.parent,
            env={**os.environ, **(env or {})},
            stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
            stdout=subprocess.PIPE if talks else file,
            stderr=file,
            start_new_session=True,
        )
    with process:
        try:
            yield process
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
    with suppress(ProcessLookupError):  # the usual case: all have ended
        os.killpg(process.pid, signal.SIGKILL)


def tree(pid: int) -> list[int]:
    """A process and all that it has started and that still run."""
    found = [pid]
    for parent in found:
        with suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def cpu_s(pid: int | None) -> float:
    """Processor time of a process and of all that it has started, in seconds."""
    return 0.0 if pid is None else sum(map(_ticks, tree(pid))) / _TICKS_PER_S


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it has just ended, and its parent counts it from now on
    return sum(map(int, fields[_TIMES]))


def machine_cpu_s() -> float:
    """Processor time of all processes of the machine, in seconds."""
    user, nice, system, _idle, _iowait, *rest = Path("/proc/stat").read_text().split()[1:9]
    return sum(map(int, (user, nice, system, *rest))) / _TICKS_PER_S


def memory_bytes(pid: int) -> tuple[int, int]:
    """Resident memory of the largest process of a tree, and the share of memory of all of them."""
    pids = tree(pid)
    return max(_held(one, "Rss") for one in pids), sum(_held(one, "Pss") for one in pids)


def _held(pid: int, what: str) -> int:
    try:
        return rolled_up_bytes(pid, what)
    except (FileNotFoundError, ProcessLookupError):
        return 0
