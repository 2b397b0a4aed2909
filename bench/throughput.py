"""Putting jobs, and reserving and deleting them, as fast as the server can."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from bench.control import fill, must_hold
from bench.jobs import Shape, batches, puts
from bench.ledger import Ledger
from bench.load import Connections, Conversation
from bench.plans import Putting, Taking
from bench.section import Section, measured
from bench.servers import Target

# One job in ten goes through uncounted before the others: by then caches, allocator
# and interpreter have settled.
_WARM_UP_SHARE = 10


@dataclass(frozen=True)
class Load:
    """Connections, requests in flight on each of them, and jobs to be measured."""

    connections: int
    window: int
    jobs: int

    @property
    def warm_up(self) -> int:
        """Jobs not counted: a share of the others, at least one window per connection."""
        return max(self.jobs // _WARM_UP_SHARE, self.connections * self.window)


def put(target: Target, load: Load, shape: Shape) -> Section:
    """Puts jobs and leaves them there."""
    supply = iter(list(batches(puts(load.warm_up + load.jobs, shape), load.window)))
    warm_up = Putting(supply, load.warm_up // load.window, load.window)
    putting = Putting(supply, load.jobs // load.window, load.window)
    ledger = Ledger()
    section = _measured(target, load, warm_up.conversation, putting.conversation)
    warm_up.check(ledger)
    putting.check(ledger)
    must_hold(target, len(ledger))
    return section


def take(target: Target, load: Load, shape: Shape) -> Section:
    """Reserves and deletes jobs that were put beforehand, to the last one."""
    ledger = fill(target, load.warm_up + load.jobs, shape)
    warm_up = Taking(load.warm_up // load.window, load.window)
    taking = Taking(load.jobs // load.window, load.window)
    section = _measured(target, load, warm_up.conversation, taking.conversation)
    warm_up.check(ledger)
    taking.check(ledger)
    must_hold(target, 0)
    return section


def _measured(
    target: Target,
    load: Load,
    warm_up: Callable[[], Conversation],
    work: Callable[[], Conversation],
) -> Section:
    """The same conversation on every connection, first uncounted, then counted."""
    with closing(Connections(target.port, load.connections)) as lines:
        lines.drive([warm_up() for _ in range(load.connections)])
        conversations = [work() for _ in range(load.connections)]
        return measured(target.pid, load.jobs, lambda: lines.drive(conversations))
