"""The table of scenarios: what is run against each server, and how much of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

from bench import crowds
from bench.batching import take_batches
from bench.churn import churn
from bench.company import idle_connections, tubes_alive
from bench.jobs import FIXED, VARIED_PRIORITIES, Shape
from bench.keyed import keyed, plain
from bench.memory import per_job
from bench.meters import rss_bytes
from bench.neighbours import neighbours
from bench.pauses import pauses
from bench.policy import put_with_policies, take_with_policies
from bench.restart import fill_log, started_again
from bench.section import Section
from bench.servers import Target
from bench.throughput import Load, put, take
from bench.waiting import put_to_waiting
from bench.wal import Options

Metrics = dict[str, float]

# The sides of a comparison.
OURS = 0
THEIRS = 1

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
# Where each reply waits for a sync: as long as it takes to see, and jobs enough for that. With a
# sync for each put, a disk takes some thousands a second.
_SYNCED_S = 2.0
_JOBS_SYNCED = 100_000
_JOBS_SYNCED_MANY = 200_000
_NEIGHBOURS_S = 4.0
# So small that files are begun, cleaned and removed several times a second.
_SMALL_SEGMENT = 1024 * 1024
_JOBS_REPLAYED = 1_000_000
_JOBS_CHURNED = 20_000
_ROUNDS = 10
# Of the extended commands.
_BATCH = 100
_CROWD = 1_000_000

EACH = Options(sync_ms=0)
USUAL = Options(sync_ms=50)


@dataclass(frozen=True)
class Settings:
    """What all scenarios of a run have in common."""

    quick: bool
    shape: Shape

    def some(self, count: int) -> int:
        """That many, or the share of a quick run."""
        return count // _QUICK_SHARE if self.quick else count

    def time(self, seconds: float) -> float:
        """So many seconds, or the share of a quick run."""
        return seconds / _QUICK_SHARE if self.quick else seconds


Work = Callable[[Target, Load, Shape], Section]
Run = Callable[[Target, Settings], Metrics]


class Against(Enum):
    """What a scenario's numbers are held against."""

    THE_OTHER = "the other server"
    ITSELF = "the same server, doing something else"
    NO_LOG = "the same server without a log"
    NOBODY = "nobody"


@dataclass(frozen=True)
class Scenario:
    """One line of the report."""

    name: str
    kind: str  # which table it stands in
    run: Run
    most_pairs: int = 1_000  # fewer for those that take long or hardly vary
    wal: Options | None = None  # how both servers keep a log
    first: Run | None = None  # what an earlier server does
    against: Against = Against.THE_OTHER
    other: Run | None = None  # what is run there, if it is not the same
    restless: bool = False  # the kernel's work for the disk takes the cores: no use in repeating

    def stages(self, side: int) -> list[Run]:
        """What is done in turn, on servers started one after the other with the same log."""
        run = self.run if side == OURS or self.other is None else self.other
        return [run] if self.first is None else [self.first, run]


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


def _synced(work: Work, connections: int, window: int) -> Run:
    jobs = _JOBS_SYNCED_MANY if window > 1 else _JOBS_SYNCED

    def run(target: Target, settings: Settings) -> Metrics:
        seconds = settings.time(_SYNCED_S)
        load = Load(connections, window, settings.some(jobs), seconds)
        return work(target, load, settings.shape).metrics()

    return run


def _neighbours(target: Target, settings: Settings) -> Metrics:
    return neighbours(target, settings.time(_NEIGHBOURS_S), settings.shape)


def _fill_log(target: Target, settings: Settings) -> Metrics:
    return fill_log(target, settings.some(_JOBS_REPLAYED), settings.shape)


def _started_again(target: Target, settings: Settings) -> Metrics:
    return started_again(target, settings.some(_JOBS_REPLAYED))


def _churn(target: Target, settings: Settings) -> Metrics:
    return churn(target, settings.some(_JOBS_CHURNED), _ROUNDS, settings.shape)


def _patterns() -> Iterator[Scenario]:
    for verb, work in (("put", put), ("take", take)):
        for connections, window in ((1, 1), (50, 1), (1, 100), (50, 100)):
            run = _throughput(work, connections, window)
            yield Scenario(f"{verb}-{connections}x{window}", "throughput", run)


def _tubes() -> Iterator[Scenario]:
    for verb, work in (("put", put), ("take", take)):
        for tubes in (1, _TUBES):
            yield Scenario(f"{verb}-tubes-{tubes}", "throughput", _among_tubes(work, tubes))


def _each_synced() -> Iterator[Scenario]:
    loads = (("put", put, 1, 1), ("put", put, 50, 1), ("put", put, 50, 100), ("take", take, 50, 1))
    for verb, work, connections, window in loads:
        run = _synced(work, connections, window)
        name = f"wal-f0-{verb}-{connections}x{window}"
        yield Scenario(name, "durable", run, most_pairs=3, wal=EACH, restless=True)


def _logged() -> Iterator[Scenario]:
    for verb, work in (("put", put), ("take", take)):
        for connections, window in ((50, 1), (1, 100), (50, 100)):
            run = _throughput(work, connections, window)
            yield Scenario(f"wal-f50-{verb}-{connections}x{window}", "durable", run, wal=USUAL)


def _costs() -> Iterator[Scenario]:
    for verb, work in (("put", put), ("take", take)):
        for connections, window in ((50, 1), (50, 100)):
            run = _throughput(work, connections, window)
            name = f"wal-cost-{verb}-{connections}x{window}"
            yield Scenario(name, "cost", run, most_pairs=3, wal=USUAL, against=Against.NO_LOG)


def _beside_log() -> Iterator[Scenario]:
    for wal in (EACH, USUAL):
        name = f"wal-f{wal.sync_ms}-neighbour"
        small, each = replace(wal, segment_bytes=_SMALL_SEGMENT), wal is EACH
        yield Scenario(name, "neighbour", _neighbours, most_pairs=3, wal=small, restless=each)


def _whole_logs() -> Iterator[Scenario]:
    name = f"wal-replay-{_JOBS_REPLAYED}"
    yield Scenario(name, "replay", _started_again, most_pairs=1, wal=USUAL, first=_fill_log)
    small = replace(USUAL, segment_bytes=_SMALL_SEGMENT)
    yield Scenario("wal-churn", "churn", _churn, most_pairs=1, wal=small)


def _batches() -> Iterator[Scenario]:
    kinds = (("take", "batch", Against.THE_OTHER), ("own", "own batch", Against.ITSELF))
    for verb, kind, against in kinds:
        for connections in (1, 50):
            batched = _throughput(take_batches, connections, _BATCH)
            singly = _throughput(take, connections, _BATCH)
            name = f"batch-{verb}-{connections}x{_BATCH}"
            yield Scenario(name, kind, batched, against=against, other=singly)


def _policies() -> Iterator[Scenario]:
    kinds = (("put", put_with_policies, put), ("take", take_with_policies, take))
    for verb, ruled, free in kinds:
        for connections, window in ((50, 1), (50, 100)):
            yield Scenario(
                f"policy-{verb}-{connections}x{window}",
                "policy",
                _throughput(ruled, connections, window),
                against=Against.ITSELF,
                other=_throughput(free, connections, window),
            )


def _crowd_load(settings: Settings) -> Load:
    return Load(50, _BATCH, settings.some(_CROWD))


def _keyed(target: Target, settings: Settings) -> Metrics:
    return keyed(target, _crowd_load(settings), settings.shape)


def _unkeyed(target: Target, settings: Settings) -> Metrics:
    return plain(target, _crowd_load(settings), settings.shape)


def _crowd(work: Callable[[Target, int, Shape], Metrics]) -> Run:
    return lambda target, settings: work(target, settings.some(_CROWD), settings.shape)


def _crowds() -> Iterator[Scenario]:
    name = f"keyed-{_CROWD}"
    itself = Against.ITSELF
    yield Scenario(name, "keyed", _keyed, most_pairs=2, against=itself, other=_unkeyed)
    alone = Against.NOBODY
    works = (("expiry", crowds.expiry), ("purge", crowds.purge), ("move", crowds.move))
    for verb, work in works:
        for prefix, wal in (("", None), ("wal-", USUAL)):
            name, run = f"{prefix}{verb}-{_CROWD}", _crowd(work)
            yield Scenario(name, "crowd", run, most_pairs=2, wal=wal, against=alone)
    run = _crowd(crowds.listing)
    yield Scenario(f"list-{_CROWD}", "list", run, most_pairs=2, against=alone)


SCENARIOS = [
    *_patterns(),
    Scenario("put-to-waiting", "latency", _waiting),
    *_tubes(),
    Scenario(f"put-idle-{_IDLE}", "idle", _beside_idle(put), most_pairs=3),
    Scenario(f"take-idle-{_IDLE}", "idle", _beside_idle(take), most_pairs=3),
    Scenario("memory-pri-0", "memory", _memory(FIXED), most_pairs=2),
    Scenario("memory-pri-varied", "memory", _memory(VARIED_PRIORITIES), most_pairs=2),
    Scenario(f"pause-{_JOBS_HELD}", "pause", _pauses, most_pairs=2),
    *_each_synced(),
    *_logged(),
    *_beside_log(),
    *_whole_logs(),
    *_costs(),
    *_batches(),
    *_policies(),
    *_crowds(),
]
