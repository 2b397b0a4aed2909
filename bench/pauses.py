"""The longest a client has to wait while the server fills up with, and holds, very many jobs."""

from contextlib import closing

from bench.control import must_hold
from bench.jobs import Shape, batches, puts
from bench.ledger import Ledger
from bench.load import Conversation, connect
from bench.meters import cpu_clock
from bench.plans import Moving, Putting
from bench.section import NS_PER_S, latency_metrics, measured
from bench.servers import Target
from bench.turns import Prober, Speaker, take_turns

# Requests in flight while the queue is filled: a producer that pipelines.
_FILL_WINDOW = 100
# Jobs per step while they are held, and ns between two steps: each ms, ten jobs are put,
# or ten reserved, or ten deleted. That keeps either server busy for less than a tenth.
_MOVE_WINDOW = 10
_MOVE_INTERVAL_NS = 1_000_000


def pauses(target: Target, jobs: int, moves: int, shape: Shape) -> dict[str, float]:
    """Probe latencies while `jobs` jobs are put, then while `moves` times ten pass through."""
    supply = batches(puts(jobs, shape), _FILL_WINDOW)
    filling = Putting(supply, jobs // _FILL_WINDOW, _FILL_WINDOW)
    moves_ahead = batches(puts(moves * _MOVE_WINDOW, shape), _MOVE_WINDOW)
    moving = Moving(moves_ahead, _MOVE_WINDOW)
    fill = probed(target, filling.conversation(), 0)
    hold = probed(target, moving.conversation(), _MOVE_INTERVAL_NS)
    ledger = Ledger()
    filling.check(ledger)
    moving.check(ledger)
    must_hold(target, len(ledger))
    return (
        {f"fill_{name}": value for name, value in fill.items()}
        | {f"hold_{name}": value for name, value in hold.items()}
        | {"waited": max(fill["waited"], hold["waited"])}
    )


def probed(
    target: Target, conversation: Conversation, interval_ns: int, kind: type[Speaker] = Speaker
) -> dict[str, float]:
    """Metrics of the probes sent while the conversation goes on, and how long it did."""
    with closing(connect(target.port)) as mine, closing(connect(target.port)) as other:
        prober = Prober(mine, cpu_clock(target.pid))
        speaker = kind(other, conversation, interval_ns)
        section = measured(target.pid, 1, lambda: _latencies(prober, speaker))
    metrics = latency_metrics(section.latencies)
    work = latency_metrics(prober.work)
    return (
        metrics
        | {f"work_{name}": v for name, v in work.items()}
        | {"waited": section.passed.waited}
        | {"seconds": section.passed.wall / NS_PER_S}
        | {"cpu_s": section.passed.server_cpu / NS_PER_S}
    )


def _latencies(prober: Prober, speaker: Speaker) -> list[int]:
    """Lets both take turns until the speaker is done; latencies of the probes in ns."""
    take_turns([prober], [speaker])
    return prober.latencies
