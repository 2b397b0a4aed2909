"""The figures as a table in Markdown."""

import statistics
from collections.abc import Iterable, Iterator, Sequence

from bench.peers.measure import Figures
from bench.peers.systems import System

_MB = 1_000_000

_HEAD = [
    "system", "put/s", "in bulk", "jobs/s", "p50 ms", "p99 ms",
    "worker µs", "broker µs", "RSS MB", "PSS MB", "others",
]  # fmt: skip


def table(results: Iterable[tuple[System, Sequence[Figures]]]) -> Iterator[str]:
    """Medians of the calmer half of the rounds; the times of all its pick-ups together."""
    yield _line(_HEAD)
    yield _line(["---"] + ["---:"] * (len(_HEAD) - 1))
    for system, rounds in results:
        yield _line([system.name, *_cells(calmer_half(rounds))])


def calmer_half(rounds: Sequence[Figures]) -> list[Figures]:
    """Those in which others had the least of the machine."""
    return sorted(rounds, key=lambda one: one.others)[: (len(rounds) + 1) // 2]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(rounds: Sequence[Figures]) -> Iterator[str]:
    if not rounds:
        yield "failed"
        return
    bulk = [each.push_many for each in rounds if each.push_many is not None]
    yield f"{_median(each.push for each in rounds):,.0f}"
    yield f"{_median(bulk):,.0f}" if bulk else "-"
    yield f"{_median(each.rate for each in rounds):,.0f}"
    times = sorted(time for each in rounds for time in each.pickups)
    yield f"{times[len(times) // 2]:.2f}" if times else "-"
    yield f"{times[len(times) * 99 // 100]:.2f}" if times else "-"
    yield f"{_median(each.worker_us for each in rounds):,.0f}"
    yield f"{_median(each.broker_us for each in rounds):,.0f}"
    yield f"{_median(each.rss for each in rounds) / _MB:.0f}"
    yield f"{_median(each.pss for each in rounds) / _MB:.0f}"
    yield f"{_median(each.others for each in rounds):.0%}"


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)
