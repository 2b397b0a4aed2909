"""What concerns very many jobs at once: how long it takes, and how long others wait meanwhile."""

import re
import time
from collections.abc import Iterator
from contextlib import closing
from time import perf_counter_ns

from bench.control import fill, must_hold, must_know_extensions, must_reply
from bench.jobs import Shape, batches, puts
from bench.ledger import Ledger, WrongReply
from bench.limit import Stalled
from bench.load import Conversation, ask, connect
from bench.pauses import probed
from bench.section import NS_PER_S, latency_metrics
from bench.servers import Target
from bench.turns import DocumentSpeaker

_WINDOW = 100
# Puts that tell how fast this server and this machine are now, and how much longer all the others
# may take: they have a lifetime to be read, and the machine may get busier.
_TRIED = 10_000
_SLOWER = 3
_SPARE_S = 3
# Probes begin so long before that, and ask so often how many jobs are left.
_LEAD_S = 0.2
_LOOK_INTERVAL_NS = 10_000_000
# The most that a page can have.
_PAGE = 1_000
_US_PER_MS = 1_000
_TOO_SLOW = "the jobs began to expire before all were put"


def expiry(target: Target, jobs: int, shape: Shape) -> dict[str, float]:
    """Probes while jobs expire that all do so within a few ms, whenever they were put."""
    must_know_extensions(target)
    due = perf_counter_ns() + _time_for(target, jobs, shape)
    ledger = Ledger()
    with closing(connect(target.port)) as peer:
        for batch in _mortal(batches(puts(jobs, shape), _WINDOW), due):
            ledger.inserted(batch, ask(peer, batch, _WINDOW))
    must_hold(target, jobs)
    left_s = (due - perf_counter_ns()) / NS_PER_S - _LEAD_S
    if left_s < 0:
        raise Stalled(_TOO_SLOW)
    time.sleep(left_s)
    metrics = probed(target, _until_empty(), _LOOK_INTERVAL_NS, DocumentSpeaker)
    metrics["seconds"] = (perf_counter_ns() - due) / NS_PER_S
    must_hold(target, 0)
    return _shown(metrics, jobs)


def purge(target: Target, jobs: int, shape: Shape) -> dict[str, float]:
    """Probes while all jobs of a tube are deleted."""
    must_know_extensions(target)
    fill(target, jobs, shape)
    metrics = probed(target, _said(b"purge-tube default all\r\n", b"PURGED %d\r\n" % jobs), 0)
    must_hold(target, 0)
    return _shown(metrics, jobs)


def move(target: Target, jobs: int, shape: Shape) -> dict[str, float]:
    """Probes while all jobs of a tube are moved to another."""
    must_know_extensions(target)
    fill(target, jobs, shape)
    request = b"move-jobs default ready bench %d\r\n" % jobs
    metrics = probed(target, _said(request, b"MOVED %d\r\n" % jobs), 0)
    must_hold(target, 0)
    must_hold(target, jobs, tube=b"bench")
    return _shown(metrics, jobs)


def listing(target: Target, jobs: int, shape: Shape) -> dict[str, float]:
    """Probes while all jobs of a tube are listed; how long each page takes."""
    must_know_extensions(target)
    ids = fill(target, jobs, shape).ids()
    pages: list[bytes] = []
    latencies: list[int] = []
    metrics = probed(target, _paging(pages, latencies), 0, DocumentSpeaker)
    if re.findall(rb"- id: (\d+)\n", b"".join(pages)) != ids:
        raise WrongReply(b"list-jobs", b"(not every job once, by id)")
    page = {f"page_{name}": us for name, us in latency_metrics(latencies).items()}
    return _shown(metrics, jobs) | _in_ms(page)


def _time_for(target: Target, jobs: int, shape: Shape) -> int:
    """Ns that are surely enough for so many puts."""
    started = perf_counter_ns()
    fill(target, _TRIED, shape)
    passed = perf_counter_ns() - started
    must_reply(target, b"purge-tube default all\r\n", b"PURGED %d\r\n" % _TRIED)
    return _SPARE_S * NS_PER_S + _SLOWER * passed * jobs // _TRIED


def _mortal(requests: Iterator[bytes], due: int) -> Iterator[bytes]:
    """The puts, with what is left at that moment until all are to expire."""
    for batch in requests:
        ttl_s = (due - perf_counter_ns()) / NS_PER_S
        if ttl_s < _LEAD_S:
            raise Stalled(_TOO_SLOW)
        yield re.sub(rb"put (\d+ 0 \d+ \d+)\r\n", rb"put-with \1 ttl=%.3f\r\n" % ttl_s, batch)


def _said(request: bytes, wanted: bytes) -> Conversation:
    reply = yield request, 1
    if reply != wanted:
        raise WrongReply(request, reply)


def _until_empty() -> Conversation:
    reply = b""
    while b"\ncurrent-jobs-ready: 0\n" not in reply:
        reply = yield b"stats-tube default\r\n", 0


def _paging(pages: list[bytes], latencies: list[int]) -> Conversation:
    """Asks for page after page; keeps them, and how long they took in ns."""
    after = 0
    while not pages or after:
        asked = perf_counter_ns()
        reply = yield b"list-jobs default ready %d %d\r\n" % (after, _PAGE), 0
        latencies.append(perf_counter_ns() - asked)
        pages.append(reply)
        go_on = re.match(rb"OK \d+\r\n---\nnext: (\d+)\n", reply)
        if go_on is None:
            raise WrongReply(b"list-jobs", reply)
        after = int(go_on[1])


def _shown(metrics: dict[str, float], jobs: int) -> dict[str, float]:
    """Those of the probes, in ms; the time that all took, and the server's for each job."""
    waits = {name: us for name, us in metrics.items() if name.endswith("_us")}
    whole = {"waited": metrics["waited"], "seconds": metrics["seconds"]}
    return _in_ms(waits) | whole | {"cpu_us": metrics["cpu_s"] * 1_000_000 / jobs}


def _in_ms(metrics: dict[str, float]) -> dict[str, float]:
    return {name.replace("_us", "_ms"): us / _US_PER_MS for name, us in metrics.items()}
