"""What every worker runs: it notes when a job began and which one it is, and does nothing else."""

import os
import time
from array import array

_BURNT_NS = 1_000_000

# Appended in one call each, so that records of several processes or threads never mix.
_FILE = os.open(os.environ["BENCH_RECORDS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def nothing(number: int) -> None:
    """Has no work. The monotonic clock is the same for all processes."""
    os.write(_FILE, array("q", (time.monotonic_ns(), number)))


def burn(number: int) -> None:
    """Takes a millisecond of processor time."""
    nothing(number)
    enough = time.thread_time_ns() + _BURNT_NS
    while time.thread_time_ns() < enough:
        pass
