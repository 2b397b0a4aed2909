"""How long a connection waits for its replies while others load the log."""

from contextlib import ExitStack, closing

from bench.control import fill, log_counts, must_hold
from bench.jobs import Shape, batches, puts
from bench.load import connect
from bench.meters import cpu_clock
from bench.plans import Moving, while_time
from bench.section import NS_PER_S, latency_metrics, measured
from bench.servers import Target
from bench.turns import Prober, PuttingProber, Speaker, take_turns

# Jobs that stay: with other jobs coming and going, they have to be moved again and again. Few
# enough that a server which syncs each put is filled in three seconds.
_HELD = 10_000
# Two connections, so that one has sent its next requests before the other's are done.
_SPEAKERS = 2
_WINDOW = 100
# More than any server does in a second: then the time ends the run, not the supply.
_SUPPLY_PER_S = 60_000
_US_PER_MS = 1_000


def neighbours(target: Target, seconds: float, shape: Shape) -> dict[str, float]:
    """Latencies of a question each ms and of a put each 5 ms, beside puts, reserves, deletes."""
    ledger = fill(target, _HELD, shape)
    supply = iter(list(batches(puts(int(_SUPPLY_PER_S * seconds), shape), _WINDOW)))
    moving = Moving(while_time(supply, seconds), _WINDOW)
    with ExitStack() as opened:
        clock = cpu_clock(target.pid)
        lines = [opened.enter_context(closing(connect(target.port))) for _ in range(2 + _SPEAKERS)]
        asking = Prober(lines[0], clock)
        putting = PuttingProber(lines[1], clock, puts(_SUPPLY_PER_S, shape))
        speakers = [Speaker(line, moving.conversation(), 0) for line in lines[2:]]
        before = log_counts(target)
        section = measured(target.pid, 0, lambda: _loop([asking, putting], speakers))
        after = log_counts(target)
    passed_s = section.passed.wall / NS_PER_S
    jobs = moving.jobs
    putting.check(ledger)
    moving.check(ledger)
    must_hold(target, len(ledger))
    return {
        **_named("ask", asking.latencies),
        **_named("put", putting.latencies),
        "jobs_per_s": jobs / passed_s,
        "moved_per_s": (after.moved - before.moved) / passed_s,
        "waited": section.passed.waited,
    }


def _loop(probers: list[Prober], speakers: list[Speaker]) -> list[int]:
    take_turns(probers, speakers)
    return []


def _named(name: str, latencies: list[int]) -> dict[str, float]:
    metrics = latency_metrics(latencies).items()
    return {f"{name}_{key.replace('_us', '_ms')}": us / _US_PER_MS for key, us in metrics}
