"""One measurement: a fresh broker is filled, a fresh worker empties it, and then is idle."""

import math
import os
import shlex
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.peers.brokers import BROKERS, Broker
from bench.peers.processes import cpu_s, machine_cpu_s, memory_bytes, running
from bench.peers.producer import APPS, Producer, Pushed, producing
from bench.peers.programs import Programs
from bench.peers.records import Records, Stalled, WrongJobs
from bench.peers.systems import System

_SINGLY = 5  # of so many jobs, where there is a call for many, one is pushed by itself
_WARM = 10  # processor time counts from when one job in so many has begun
_FEWEST = 20
_PAUSE_S = 0.01  # between two pushes: the worker is idle again by then
_LOG_CHARACTERS = 500


class Failed(Exception):
    """A system did not do what it was to do."""


@dataclass(slots=True)
class Figures:
    """Jobs per second; µs of processor time per job; bytes; of all processors; ms."""

    push: float
    push_many: float | None
    rate: float
    worker_us: float
    broker_us: float
    rss: float
    pss: float
    others: float
    pickups: list[float]


class Spent(NamedTuple):
    """So far, in seconds: by the clock, and of processors."""

    clock: float
    worker: float
    broker: float
    machine: float


def measure(system: System, programs: Programs, scale: float) -> Figures:
    """A system, once. Raises Failed."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        try:
            return _measure(system, programs, scale, directory)
        except (Stalled, WrongJobs, RuntimeError) as error:
            raise Failed(f"{system.name}: {error}\n{_logs(directory)}") from error


def _measure(system: System, programs: Programs, scale: float, directory: Path) -> Figures:
    records = Records(directory / "records")
    jobs = max(_FEWEST, int(system.jobs * scale))
    with ExitStack() as stack:
        broker = stack.enter_context(BROKERS[system.broker].run(directory, programs.peers))
        env = _environment(system, broker, records)
        producer = stack.enter_context(
            producing(programs.python(system), system.app, directory / "producer.log", env)
        )
        push, push_many = _fill(producer, jobs)
        words = shlex.split(programs.fill_in(system.worker, broker.url))
        worker = stack.enter_context(running(words, directory / "worker.log", env))
        spent, seen = _work_off(records, jobs, worker, broker)
        runs = records.read()
        took = (runs[-1].began - runs[0].began) / 1e9
        pickups = _pick_up(producer, records, worker, math.ceil(system.pickups * scale))
        rss, pss = memory_bytes(worker.pid)
    return Figures(
        push.rate,
        push_many.rate if push_many else None,
        (jobs - 1) / took,
        spent.worker / seen * 1e6,
        spent.broker / seen * 1e6,
        rss,
        pss,
        spent.machine / spent.clock / (os.cpu_count() or 1),
        pickups,
    )


def _environment(system: System, broker: Broker, records: Records) -> dict[str, str]:
    """What apps read, and libraries."""
    return {
        **dict(system.env),
        **broker.env,
        "BENCH_BROKER": broker.url,
        "BENCH_RECORDS": str(records.path),
        "PYTHONPATH": str(APPS),
    }


def _fill(producer: Producer, jobs: int) -> tuple[Pushed, Pushed | None]:
    """Some one by one, the rest in one call where there is such a call."""
    if not producer.has_bulk:
        return producer.push(jobs), None
    singly = jobs // _SINGLY
    return producer.push(singly), producer.push_many(jobs - singly)


def _work_off(
    records: Records, jobs: int, worker: subprocess.Popen[bytes], broker: Broker
) -> tuple[Spent, int]:
    """What it takes from when the worker is warm to the last job, and for how many jobs."""
    records.wait_for(jobs // _WARM, lambda: worker.poll() is None)
    warm, before = records.count(), _spent(worker, broker)
    records.wait_for(jobs, lambda: worker.poll() is None)
    after = _spent(worker, broker)
    took = Spent(*(late - early for late, early in zip(after, before, strict=True)))
    ours = took.worker + took.broker
    return took._replace(machine=max(0.0, took.machine - ours)), max(1, jobs - warm)


def _spent(worker: subprocess.Popen[bytes], broker: Broker) -> Spent:
    return Spent(time.monotonic(), cpu_s(worker.pid), cpu_s(broker.pid), machine_cpu_s())


def _pick_up(
    producer: Producer, records: Records, worker: subprocess.Popen[bytes], count: int
) -> list[float]:
    """Milliseconds from before a push to the start of the handler, of so many jobs."""
    pushed = []
    for _ in range(count):
        time.sleep(_PAUSE_S)
        pushed.append(producer.push(1).began)
        records.wait_for(producer.pushed, lambda: worker.poll() is None)
    runs = records.read()[producer.pushed - count :]
    return [(run.began - began) / 1e6 for run, began in zip(runs, pushed, strict=True)]


def _logs(directory: Path) -> str:
    """The ends of what was written meanwhile."""
    files = sorted(directory.glob("*.log"))
    return "\n".join(
        f"{file.name}: {file.read_text(errors='replace')[-_LOG_CHARACTERS:]}" for file in files
    )
