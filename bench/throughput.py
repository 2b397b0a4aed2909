"""Putting jobs, and reserving and deleting them, as fast as the server can."""

from contextlib import closing
from dataclasses import dataclass, replace
from math import inf

from bench.control import fill, log_counts, must_hold
from bench.jobs import Requests, Shape, batches, puts
from bench.ledger import Ledger
from bench.load import Connections
from bench.plans import Putting, Taking
from bench.section import Section, measured
from bench.servers import Target

# One job in ten goes through uncounted before the others: by then caches, allocator
# and interpreter have settled.
_WARM_UP_SHARE = 10


@dataclass(frozen=True)
class Load:
    """Connections, requests in flight on each of them, and jobs to be measured.

    Fewer jobs where they would take more than so many seconds.
    """

    connections: int
    window: int
    jobs: int
    seconds: float = inf

    @property
    def warm_up(self) -> int:
        """Jobs not counted: a share of the others, at least one window per connection."""
        return max(self.jobs // _WARM_UP_SHARE, self.connections * self.window)

    @property
    def warm_up_s(self) -> float:
        """Seconds after which the warm-up is ended."""
        return self.seconds / _WARM_UP_SHARE


def put(target: Target, load: Load, shape: Shape, requests: Requests = puts) -> Section:
    """Puts jobs and leaves them there."""
    window = load.window
    supply = iter(list(batches(requests(load.warm_up + load.jobs, shape), window)))
    warm_up = Putting(supply, load.warm_up // window, window, load.warm_up_s)
    ledger = Ledger()
    with closing(Connections(target.port, load.connections)) as lines:
        _drive(lines, warm_up)
        putting = Putting(supply, load.jobs // window, window, load.seconds)
        section = _measured(target, lines, putting)
    warm_up.check(ledger)
    putting.check(ledger)
    must_hold(target, len(ledger))
    return section


def take(target: Target, load: Load, shape: Shape, way: type[Taking] = Taking) -> Section:
    """Reserves and deletes jobs that were put beforehand, to the last one if there is time."""
    window = load.window
    ledger = fill(target, load.warm_up + load.jobs, shape, load.seconds)
    warm_up = way(load.warm_up // window, window, load.warm_up_s)
    with closing(Connections(target.port, load.connections)) as lines:
        _drive(lines, warm_up)
        taking = way((len(ledger) - warm_up.jobs) // window, window, load.seconds)
        section = _measured(target, lines, taking)
    warm_up.check(ledger)
    taking.check(ledger)
    must_hold(target, len(ledger))
    return section


def _measured(target: Target, lines: Connections, plan: Putting | Taking) -> Section:
    """The same conversation on every connection, counted."""
    if target.log is None:
        section = measured(target.pid, 0, lambda: _drive(lines, plan))
        return replace(section, jobs=plan.jobs)
    before = log_counts(target)
    section = measured(target.pid, 0, lambda: _drive(lines, plan))
    after = log_counts(target)
    syncs = after.syncs - before.syncs
    per_sync = (after.records - before.records) / syncs if syncs else None
    return replace(section, jobs=plan.jobs, records_per_sync=per_sync)


def _drive(lines: Connections, plan: Putting | Taking) -> list[int]:
    return lines.drive([plan.conversation() for _ in range(len(lines))])
