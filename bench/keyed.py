"""Very many jobs with a key each: what the keys cost, and whether they find their jobs again."""

import re
from collections.abc import Iterator
from contextlib import closing
from functools import partial

from bench.control import must_hold, must_know_extensions
from bench.jobs import Requests, Shape, batches, puts
from bench.ledger import WrongReply
from bench.load import Connections, Conversation, ask, connect
from bench.meters import rss_bytes
from bench.section import NS_PER_US, measured
from bench.servers import Target
from bench.throughput import Load, put

# As long as a UUID.
_KEY_DIGITS = 36
# Keys that are put again, evenly spread over all there are, and how many in one request.
_REPEATED = 10_000
_WINDOW = 100


def plain(target: Target, load: Load, shape: Shape) -> dict[str, float]:
    """What very many puts without keys cost."""
    return _filled(target, load, shape, puts)


def keyed(target: Target, load: Load, shape: Shape) -> dict[str, float]:
    """The same with keys, some of which are then put again: each must find its job."""
    must_know_extensions(target)
    metrics = _filled(target, load, shape, _keyed_puts)
    jobs = load.warm_up + load.jobs
    serials = list(range(0, jobs, max(1, jobs // _REPEATED)))
    twins: list[bytes] = []
    with closing(Connections(target.port, 1)) as line:
        work = partial(line.drive, [_again(serials, twins)])
        section = measured(target.pid, len(serials), work)
    _must_be_theirs(target, serials, twins)
    must_hold(target, jobs)
    return metrics | {"exists_us": section.passed.server_cpu / len(serials) / NS_PER_US}


def _filled(target: Target, load: Load, shape: Shape, requests: Requests) -> dict[str, float]:
    """Metrics of the puts, with the bytes of memory that each job takes."""
    must_hold(target, 0)  # and with it, all code that is loaded at first use is there
    before = rss_bytes(target.pid)
    section = put(target, load, shape, requests)
    size = (rss_bytes(target.pid) - before) / (load.warm_up + load.jobs)
    return section.metrics() | {"bytes": size}


def _keyed_puts(count: int, shape: Shape) -> Iterator[bytes]:
    """The same puts, each with the number of its job as key."""
    for serial, request in enumerate(puts(count, shape)):
        line, end, body = request.partition(b"\r\n")
        numbers = line.removeprefix(b"put ")
        yield b"put-with %s key=%s%s%s" % (numbers, _key(serial), end, body)


def _key(serial: int) -> bytes:
    return b"%0*d" % (_KEY_DIGITS, serial)


def _again(serials: list[int], twins: list[bytes]) -> Conversation:
    """Puts jobs whose keys are taken; notes the ids of those who have them."""
    requests = (b"put-with 0 0 600 0 key=%s\r\n\r\n" % _key(serial) for serial in serials)
    for batch in batches(requests, _WINDOW):
        lines = batch.count(b"put-with")
        reply = yield batch, lines
        found = re.findall(rb"EXISTS (\d+)\r\n", reply)
        if len(found) != lines:
            raise WrongReply(batch, reply)
        twins += found


def _must_be_theirs(target: Target, serials: list[int], twins: list[bytes]) -> None:
    """Raises WrongReply unless these jobs are the ones that were put with these keys."""
    with closing(connect(target.port)) as peer:
        for serial, twin in zip(serials, twins, strict=True):
            request = b"peek %s\r\n" % twin
            reply = ask(peer, request, 2)
            if not reply.partition(b"\n")[2].startswith(b"%012d" % serial):
                raise WrongReply(request, reply)
