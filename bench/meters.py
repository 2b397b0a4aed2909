"""What a process costs: processor time and memory, read from outside it (Linux only)."""

import os
from pathlib import Path

# The kernel names the processor clock of another process by this arithmetic on
# its pid (clock_getcpuclockid(3)). It counts nanoseconds over all threads, ended
# ones included; /proc/PID/stat counts ticks of 10 ms and schedstat one thread.
_CLOCK_OF_ANY_PROCESS = 2
_CLOCK_BITS = 3

_BYTES_PER_KIB = 1024


def cpu_clock(pid: int) -> int:
    """The clock id that `time.clock_gettime_ns` takes for the processor time of `pid`."""
    return (~pid << _CLOCK_BITS) | _CLOCK_OF_ANY_PROCESS


def waited_ns(pid: int) -> int:
    """Nanoseconds the live threads of `pid` were ready to run while something else ran."""
    return sum(_waited_ns(task) for task in Path(f"/proc/{pid}/task").iterdir())


def _waited_ns(task: Path) -> int:
    try:
        return int((task / "schedstat").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0  # the thread ended since its directory was listed


def rss_bytes(pid: int) -> int:
    """Resident memory of `pid` in bytes."""
    return rolled_up_bytes(pid, "Rss")


def rolled_up_bytes(pid: int, what: str) -> int:
    """A sum over all mappings of `pid`, such as Rss or Pss, in bytes.

    smaps_rollup walks the page tables and is exact; VmRSS lags behind by a batch per core.
    """
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) * _BYTES_PER_KIB
    raise OSError(f"no {what} line in smaps_rollup of process {pid}")


def pin(core: int) -> None:
    """Keeps the calling process, and all it starts, on one core."""
    os.sched_setaffinity(0, {core})
