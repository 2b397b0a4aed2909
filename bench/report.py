"""The tables: one line per scenario, both servers side by side, and how they compare."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.scenarios import Against, Metrics, Scenario

Pair = tuple[Metrics, Metrics]  # the server's, and those of what it is held against

_NAME_WIDTH = 20
# A ratio with its range: 12.34 (12.34..12.34); most are shorter.
_RATIO_WIDTH = 19
_BAR = " | "
# Waiting for a core for more than this share of the time spoils jobs/s and latencies; CPU
# per job suffers less.
DISTURBED = 0.05


@dataclass(frozen=True)
class Column:
    """One number of a scenario as the table shows it."""

    metric: str
    title: str
    digits: int
    width: int
    compared: bool = False

    def show(self, value: float | None) -> str:
        """The number, right-aligned; a dash where there is none."""
        return "-".rjust(self.width) if value is None else f"{value:{self.width},.{self.digits}f}"


_RATE = Column("jobs_per_s", "jobs/s", 0, 8, compared=True)
_CPU = Column("cpu_us", "CPU us", 2, 7, compared=True)
_BUSY = Column("busy", "busy", 2, 5)
_BYTES = Column("bytes", "bytes", 0, 7, compared=True)

_THROUGHPUT = (
    _RATE,
    _CPU,
    Column("p50_us", "p50 us", 0, 7),
    Column("p99_us", "p99 us", 0, 7),
    _BUSY,
)
# Of the connection that sends a probe each ms while something large goes on.
_PROBES = (
    Column("p99_ms", "p99", 2, 6),
    Column("max_ms", "max", 2, 6),
    Column("work_max_ms", "max CPU", 2, 7),
)

_TABLES = {
    "throughput": _THROUGHPUT,
    "latency": (
        Column("p50_us", "p50 us", 1, 7, compared=True),
        Column("p99_us", "p99 us", 1, 7, compared=True),
        Column("cpu_us", "CPU us", 2, 7),
    ),
    "idle": (_BYTES, _CPU, Column("jobs_per_s", "jobs/s", 0, 8), _BUSY),
    "memory": (_BYTES,),
    "pause": (
        Column("fill_max_us", "fill max", 0, 8),
        Column("fill_work_max_us", "fill CPU", 0, 8, compared=True),
        Column("hold_p99_us", "hold p99", 0, 8),
        Column("hold_max_us", "hold max", 0, 8),
        Column("hold_work_max_us", "hold CPU", 0, 8, compared=True),
    ),
    "durable": (
        _RATE,
        _CPU,
        Column("p50_us", "p50 us", 0, 7),
        Column("p99_us", "p99 us", 0, 7),
        Column("records_per_sync", "rec/sync", 1, 8),
        _BUSY,
    ),
    "neighbour": (
        Column("ask_p99_ms", "ask p99", 2, 7, compared=True),
        Column("ask_max_ms", "ask max", 2, 7),
        Column("put_p99_ms", "put p99", 2, 7, compared=True),
        Column("put_max_ms", "put max", 2, 7),
        Column("jobs_per_s", "jobs/s", 0, 7),
        Column("moved_per_s", "moved/s", 0, 7),
    ),
    "replay": (
        Column("start_s", "s", 2, 6, compared=True),
        Column("start_cpu_s", "CPU s", 2, 6, compared=True),
        Column("disk_bytes", "disk", 0, 5, compared=True),
    ),
    "churn": (
        Column("bodies_mb", "bodies", 1, 6),
        Column("filled_mb", "filled", 1, 6),
        Column("churned_mb", "churned", 1, 7),
        Column("most_mb", "most", 1, 6),
        Column("per_body", "/bodies", 2, 7, compared=True),
        Column("needed_mb", "needed", 1, 6),
        Column("per_needed", "/needed", 2, 7),
    ),
    "batch": _THROUGHPUT,
    "own batch": _THROUGHPUT,
    "policy": _THROUGHPUT,
    "keyed": (_CPU, _BYTES, Column("exists_us", "exists", 2, 6), _RATE),
    "crowd": (Column("seconds", "s", 2, 5), Column("cpu_us", "CPU us", 2, 6), *_PROBES),
    "list": (
        Column("page_p50_ms", "page p50", 2, 8),
        Column("page_p99_ms", "page p99", 2, 8),
        Column("page_max_ms", "page max", 2, 8),
        Column("cpu_us", "CPU us", 2, 6),
        *_PROBES,
    ),
    "cost": (_CPU, _RATE, Column("p50_us", "p50 us", 0, 7), Column("p99_us", "p99 us", 0, 7)),
}

_CAPTIONS = {
    "batch": "reserve-batch against as many pipelined reserves; pipelined deletes on both sides",
    "own batch": "the same server with reserve-batch, and with as many pipelined reserves",
    "policy": "a tube with every policy, none of which keeps anybody waiting, and a plain one",
    "keyed": "puts with a key of 36 bytes, and without; exists: CPU us per refused put",
    "crowd": "all jobs at once: s until done, CPU us per job; ms from a probe to its reply",
    "list": "pages of 1,000 jobs, ms; CPU us per job; ms from a probe to its reply",
    "throughput": "per job; busy: share of the time the server's core worked for it",
    "latency": "from a put to the arrival of its job at a worker that waits for it",
    "idle": "bytes of resident memory per idle connection; 50 x 1 beside them",
    "memory": "resident bytes per ready job of 100 bytes",
    "pause": "us from a probe, sent each ms, to its reply; CPU: most server work meanwhile",
    "durable": "with a log; f0: each reply waits for a sync, f50: a sync every 50 ms",
    "neighbour": "ms to the reply, for a question each ms and a put each 5 ms beside a loaded log",
    "replay": "from exec to the first reply; disk: bytes per job of 100 bytes",
    "churn": "MB on disk, before and after each job was reserved and released with delay ten times;"
    " most: meanwhile; needed: the log's own count",
    "cost": "with a log and without",
}

# What is said of one and the same server, where it is held against itself or nobody.
_ITSELF = {
    "cost": ("{} -b", "{}"),
    "own batch": ("{} batches", "{}"),
    "policy": ("{} policies", "{}"),
    "keyed": ("{} keys", "{}"),
    "crowd": ("{}",),
    "list": ("{}",),
}

_WITH_LOG = ("durable", "neighbour", "replay", "churn")


class Report:
    """Prints each scenario as it is done, with a new head whenever the table changes."""

    def __init__(self, names: tuple[str, str]) -> None:
        self._names = names
        self._kind = ""

    def show(self, scenario: Scenario, pairs: Sequence[Pair]) -> None:
        """Prints the line of one scenario: medians, and the ratios of the pairs."""
        columns = _TABLES[scenario.kind]
        if scenario.kind != self._kind:
            self._kind = scenario.kind
            self._head(columns)
        print(_line(scenario, columns, pairs), flush=True)

    def failed(self, scenario: Scenario, error: BaseException) -> None:
        """Prints why a scenario has no result."""
        print(f"{scenario.name.ljust(_NAME_WIDTH)} FAILED: {type(error).__name__}: {error}")
        for note in getattr(error, "__notes__", ()):
            print(f"    {note}")

    def _head(self, columns: Sequence[Column]) -> None:
        titles = " ".join(column.title.rjust(column.width) for column in columns)
        ratios = [f"ratio {column.title}".ljust(_RATIO_WIDTH) for column in _compared(columns)]
        print(f"\n{_CAPTIONS[self._kind]}")
        names = [f"{name:<{len(titles)}}" for name in self._servers()]
        heads = [titles for _ in names]
        range_of = ["median (min..max)"] if ratios else []
        print(_BAR.join([" " * _NAME_WIDTH, *names, *range_of]))
        print(_BAR.join([" " * _NAME_WIDTH, *heads, " ".join(ratios)]), flush=True)

    def _servers(self) -> tuple[str, ...]:
        """Those that this table compares, or the one that it shows."""
        ours, theirs = self._names
        if self._kind in _ITSELF:
            return tuple(name.format(ours) for name in _ITSELF[self._kind])
        return (f"{ours} -b", f"{theirs} -b") if self._kind in _WITH_LOG else self._names


def _line(scenario: Scenario, columns: Sequence[Column], pairs: Sequence[Pair]) -> str:
    ours = " ".join(column.show(_median(pairs, 0, column)) for column in columns)
    theirs = " ".join(column.show(_median(pairs, 1, column)) for column in columns)
    sides = [ours] if scenario.against is Against.NOBODY else [ours, theirs]
    ratios = " ".join(_ratio(pairs, column).ljust(_RATIO_WIDTH) for column in _compared(columns))
    return _BAR.join([scenario.name.ljust(_NAME_WIDTH), *sides, ratios + _noise(pairs)])


def _compared(columns: Sequence[Column]) -> list[Column]:
    return [column for column in columns if column.compared]


def _median(pairs: Sequence[Pair], side: int, column: Column) -> float | None:
    """None where a server does not tell."""
    values = [pair[side][column.metric] for pair in pairs if column.metric in pair[side]]
    return median(values) if values else None


def _ratio(pairs: Sequence[Pair], column: Column) -> str:
    """The median of the ratios within pairs, not the ratio of medians: noise comes and goes."""
    ratios = [ours[column.metric] / theirs[column.metric] for ours, theirs in pairs]
    return f"{median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})"


def disturbance(pair: Pair) -> float:
    """The largest share of the time that a server or its load waited for its core."""
    return max(metrics.get("waited", 0.0) for metrics in pair)


def _noise(pairs: Sequence[Pair]) -> str:
    """A remark if something else used the cores in most of the runs: the median shows it."""
    usual = median(disturbance(pair) for pair in pairs)
    return f" disturbed: waited {usual:.0%}" if usual > DISTURBED else ""
