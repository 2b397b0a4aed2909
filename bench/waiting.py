"""How long a job takes from its producer to a worker that waits for one."""

import socket
from contextlib import closing
from time import perf_counter_ns

from bench.jobs import Shape, puts
from bench.ledger import Ledger, WrongReply
from bench.load import READ_BYTES, connect
from bench.plans import RESERVED_LINES, delete_one
from bench.section import Section, measured
from bench.servers import Target

# Between two jobs, in ns: long enough for the server to put the worker's reserve aside
# and to fall asleep, as a server with nothing to do does.
_PAUSE_NS = 300_000
# Jobs not counted, until both sides have settled.
_WARM_UP = 200

Handover = tuple[bytes, bytes, bytes]  # the put, its reply, what the worker got


def put_to_waiting(target: Target, jobs: int, shape: Shape) -> Section:
    """One producer puts; one worker, blocked in reserve, gets the job and deletes it."""
    requests = list(puts(_WARM_UP + jobs, shape))
    notes: list[Handover] = []
    with closing(connect(target.port)) as producer, closing(connect(target.port)) as worker:
        worker.sendall(b"reserve\r\n")
        _hand_over(producer, worker, requests[:_WARM_UP], notes)
        counted = requests[_WARM_UP:]
        section = measured(target.pid, jobs, lambda: _hand_over(producer, worker, counted, notes))
    _check(notes)
    return section


def _hand_over(
    producer: socket.socket, worker: socket.socket, requests: list[bytes], notes: list[Handover]
) -> list[int]:
    """Nanoseconds from each put to the arrival of its job."""
    latencies = []
    for request in requests:
        _pause()
        sent = perf_counter_ns()
        producer.sendall(request)
        job = _read(worker, RESERVED_LINES)
        latencies.append(perf_counter_ns() - sent)
        notes.append((request, _read(producer, 1), job))
        _delete_and_wait(worker, job)
    return latencies


def _delete_and_wait(worker: socket.socket, job: bytes) -> None:
    request = delete_one(job) + b"reserve\r\n"
    worker.sendall(request)
    reply = _read(worker, 1)
    if reply != b"DELETED\r\n":
        raise WrongReply(request, reply)


def _pause() -> None:
    """Waits without sleeping: waking up would be counted as the server's time."""
    end = perf_counter_ns() + _PAUSE_NS
    while perf_counter_ns() < end:
        pass


def _read(peer: socket.socket, lines: int) -> bytes:
    """A reply of so many lines, asked for again and again without sleeping."""
    reply = b""
    while reply.count(b"\n") < lines:
        try:
            piece = peer.recv(READ_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            continue
        if not piece:
            raise WrongReply(b"(waiting for a reply)", reply + b"(closed)")
        reply += piece
    return reply


def _check(notes: list[Handover]) -> None:
    ledger = Ledger()
    for request, inserted, job in notes:
        ledger.inserted(request, inserted)
        ledger.delivered(job)
