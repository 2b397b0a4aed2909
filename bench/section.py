"""A measured section: what the server spent between two moments, and how long replies took."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from bench.meters import cpu_clock, waited_ns

NS_PER_US = 1_000
NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class Clocks:
    """Readings, or what passed between two of them, in nanoseconds."""

    wall: int
    server_cpu: int
    server_waited: int  # ready to run, but something else ran on its core
    load_waited: int

    @property
    def waited(self) -> float:
        """The share of the time that the worse off of server and load had to wait."""
        return max(self.server_waited, self.load_waited) / self.wall


@dataclass(frozen=True)
class Section:
    """What was measured while `jobs` jobs went through; latencies in nanoseconds."""

    jobs: int
    passed: Clocks
    latencies: list[int]
    records_per_sync: float | None = None  # of the log; None where the server does not say

    def metrics(self) -> dict[str, float]:
        """The section as named numbers; the units are in the names."""
        known = self.records_per_sync is not None
        per_sync = {"records_per_sync": self.records_per_sync} if known else {}
        return {
            **per_sync,
            "jobs_per_s": self.jobs * NS_PER_S / self.passed.wall,
            "cpu_us": self.passed.server_cpu / self.jobs / NS_PER_US,
            **latency_metrics(self.latencies),
            "busy": self.passed.server_cpu / self.passed.wall,
            "waited": self.passed.waited,
        }


def measured(pid: int, jobs: int, work: Callable[[], list[int]]) -> Section:
    """Runs `work`, which moves `jobs` jobs through server `pid` and gives the latencies."""
    before = _read(pid)
    latencies = work()
    return Section(jobs, _since(before, _read(pid)), latencies)


def _read(pid: int) -> Clocks:
    return Clocks(
        time.perf_counter_ns(),
        time.clock_gettime_ns(cpu_clock(pid)),
        waited_ns(pid),
        waited_ns(os.getpid()),
    )


def _since(before: Clocks, after: Clocks) -> Clocks:
    return Clocks(
        after.wall - before.wall,
        after.server_cpu - before.server_cpu,
        after.server_waited - before.server_waited,
        after.load_waited - before.load_waited,
    )


def latency_metrics(latencies: Sequence[int]) -> dict[str, float]:
    """Median, 99th percentile and maximum in microseconds, of nanoseconds."""
    ordered = sorted(latencies)
    return {
        "p50_us": percentile(ordered, 0.50) / NS_PER_US,
        "p99_us": percentile(ordered, 0.99) / NS_PER_US,
        "max_us": ordered[-1] / NS_PER_US,
    }


def percentile(ordered: Sequence[int], share: float) -> int:
    """The smallest of the ordered values that at least `share` of them do not exceed."""
    return ordered[max(0, ceil(len(ordered) * share) - 1)]
