"""The table of scenarios: what is run against each server, and how much of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.company import idle_connections, tubes_alive
from bench.jobs import FIXED, VARIED_PRIORITIES, Shape
from bench.memory import per_job
from bench.meters import rss_bytes
from bench.pauses import pauses
from bench.section import Section
from bench.servers import Target
from bench.throughput import Load, put, take
from bench.waiting import put_to_waiting

Metrics = dict[str, float]

# A quick run does a fifth of everything that is counted in jobs.
_QUICK_SHARE = 5
# Measured jobs: half a second or more of work for either server.
_JOBS = 50_000
# With one request in flight each job costs a round trip.
_JOBS_ONE_BY_ONE = 20_000
# With 10,001 tubes beanstalkd needs 0.1 ms for each command.
_JOBS_AMONG_TUBES = 10_000
_JOBS_HANDED_OVER = 2_000
_JOBS_IN_MEMORY = 100_000
_JOBS_HELD = 1_000_000
# Each move takes 3 ms: 6 s in all.
_MOVES = 2_000
_TUBES = 10_001
# The servers and the load need a descriptor each; the usual hard limit is 20,000 or more.
_IDLE = 10_000


@dataclass(frozen=True)
class Settings:
    """What all scenarios of a run have in common."""

    quick: bool
    shape: Shape

    def some(self, count: int) -> int:
        """That many, or the share of a quick run."""
        return count // _QUICK_SHARE if self.quick else count


@dataclass(frozen=True)
class Scenario:
    """One line of the report."""

    name: str
    kind: str  # which table it stands in
    run: Callable[[Target, Settings], Metrics]
    most_pairs: int = 1_000  # fewer for those that take long or hardly vary


Work = Callable[[Target, Load, Shape], Section]
Run = Callable[[Target, Settings], Metrics]


def _throughput(work: Work, connections: int, window: int) -> Run:
    jobs = _JOBS_ONE_BY_ONE if connections == window == 1 else _JOBS

    def run(target: Target, settings: Settings) -> Metrics:
        load = Load(connections, window, settings.some(jobs))
        return work(target, load, settings.shape).metrics()

    return run


def _among_tubes(work: Work, tubes: int) -> Run:
    def run(target: Target, settings: Settings) -> Metrics:
        load = Load(50, 1, settings.some(_JOBS_AMONG_TUBES))
        with tubes_alive(target, tubes):
            return work(target, load, settings.shape).metrics()

    return run


def _beside_idle(work: Work) -> Run:
    def run(target: Target, settings: Settings) -> Metrics:
        before = rss_bytes(target.pid)
        with idle_connections(target, _IDLE):
            size = (rss_bytes(target.pid) - before) / _IDLE
            load = Load(50, 1, settings.some(_JOBS))
            return {"bytes": size} | work(target, load, settings.shape).metrics()

    return run


def _memory(shape: Shape) -> Run:
    # Never fewer in a quick run: the blocks in which memory grows would show.
    return lambda target, _: {"bytes": per_job(target, _JOBS_IN_MEMORY, shape)}


def _waiting(target: Target, settings: Settings) -> Metrics:
    return put_to_waiting(target, settings.some(_JOBS_HANDED_OVER), settings.shape).metrics()


def _pauses(target: Target, settings: Settings) -> Metrics:
    return pauses(target, settings.some(_JOBS_HELD), settings.some(_MOVES), settings.shape)


def _patterns() -> Iterator[Scenario]:
    for verb, work in (("put", put), ("take", take)):
        for connections, window in ((1, 1), (50, 1), (1, 100), (50, 100)):
            run = _throughput(work, connections, window)
            yield Scenario(f"{verb}-{connections}x{window}", "throughput", run)


def _tubes() -> Iterator[Scenario]:
    for verb, work in (("put", put), ("take", take)):
        for tubes in (1, _TUBES):
            yield Scenario(f"{verb}-tubes-{tubes}", "throughput", _among_tubes(work, tubes))


SCENARIOS = [
    *_patterns(),
    Scenario("put-to-waiting", "latency", _waiting),
    *_tubes(),
    Scenario(f"put-idle-{_IDLE}", "idle", _beside_idle(put), most_pairs=3),
    Scenario(f"take-idle-{_IDLE}", "idle", _beside_idle(take), most_pairs=3),
    Scenario("memory-pri-0", "memory", _memory(FIXED), most_pairs=2),
    Scenario("memory-pri-varied", "memory", _memory(VARIED_PRIORITIES), most_pairs=2),
    Scenario(f"pause-{_JOBS_HELD}", "pause", _pauses, most_pairs=2),
]
