"""The longest a client has to wait while the server fills up with, and holds, very many jobs."""

from contextlib import closing
from time import perf_counter_ns

from bench.control import must_hold
from bench.jobs import Shape, batches, puts
from bench.ledger import Ledger, WrongReply
from bench.load import Conversation, connect
from bench.meters import cpu_clock
from bench.plans import RESERVED_LINES, Putting, delete_many
from bench.section import latency_metrics, measured
from bench.servers import Target
from bench.turns import Prober, Speaker

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
    moving = Moving(moves, shape)
    fill = _probed(target, filling.conversation(), 0)
    hold = _probed(target, moving.conversation(), _MOVE_INTERVAL_NS)
    ledger = Ledger()
    filling.check(ledger)
    moving.check(ledger)
    must_hold(target, len(ledger))
    return (
        {f"fill_{name}": value for name, value in fill.items()}
        | {f"hold_{name}": value for name, value in hold.items()}
        | {"waited": max(fill["waited"], hold["waited"])}
    )


def _probed(target: Target, conversation: Conversation, interval_ns: int) -> dict[str, float]:
    """Metrics of the probes sent while the conversation goes on."""
    with closing(connect(target.port)) as mine, closing(connect(target.port)) as other:
        prober = Prober(mine, cpu_clock(target.pid))
        speaker = Speaker(other, conversation, interval_ns)
        section = measured(target.pid, 1, lambda: _loop(prober, speaker))
    metrics = latency_metrics(section.latencies)
    work = latency_metrics(prober.work)
    return (
        metrics
        | {f"work_{name}": v for name, v in work.items()}
        | {"waited": section.passed.waited}
    )


def _loop(prober: Prober, speaker: Speaker) -> list[int]:
    """Lets both take turns until the speaker is done; latencies of the probes in ns."""
    while speaker.talks:
        now = perf_counter_ns()
        prober.ask(now)
        prober.listen()
        speaker.turn(now)
    while prober.waits:
        prober.listen()
    return prober.latencies


class Moving:
    """A conversation that puts, reserves and deletes ten jobs, again and again."""

    def __init__(self, moves: int, shape: Shape) -> None:
        self._batches = batches(puts(moves * _MOVE_WINDOW, shape), _MOVE_WINDOW)
        self._seen: list[tuple[bytes, bytes, bytes]] = []

    def conversation(self) -> Conversation:
        """The jobs reserved are the most urgent ones, seldom those just put."""
        reserve, lines = b"reserve\r\n" * _MOVE_WINDOW, RESERVED_LINES * _MOVE_WINDOW
        for batch in self._batches:
            inserted = yield batch, _MOVE_WINDOW
            jobs = yield reserve, lines
            self._seen.append((batch, inserted, jobs))
            request = delete_many(jobs)
            reply = yield request, _MOVE_WINDOW
            if reply != b"DELETED\r\n" * _MOVE_WINDOW:
                raise WrongReply(request, reply)

    def check(self, ledger: Ledger) -> None:
        """Enters what was put and strikes out what was delivered, or raises WrongReply."""
        for batch, inserted, jobs in self._seen:
            ledger.inserted(batch, inserted)
            ledger.delivered(jobs)
