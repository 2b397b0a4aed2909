"""Runs one scenario on both servers in turn: A B A B, each time on a fresh one."""

import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.calm import Patience
from bench.isolate import in_own_process
from bench.limit import limited
from bench.report import DISTURBED, Pair, disturbance
from bench.scenarios import OURS, SCENARIOS, THEIRS, Against, Metrics, Scenario, Settings
from bench.servers import ServerFailed, Target, running
from bench.wal import Options, fresh_directory

# The longest scenario takes 30 s; one that takes so much longer has gone wrong.
_SCENARIO_LIMIT_S = 200
_CORES = 2


@dataclass(frozen=True)
class Servers:
    """The two servers, each a name or a command, the interpreter to run stalkd with.

    Directories for logs are made in `logs`.
    """

    ours: str
    theirs: str
    python: str
    logs: Path


def prepare() -> None:
    """Settles what children inherit, and that none of them stays behind."""
    # Ten thousand connections need as many descriptors.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # An exit by exception runs the `finally` that stops the server; the default does not.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))


def pairs(
    scenario: Scenario, servers: Servers, settings: Settings, count: int, patience: Patience
) -> list[Pair]:
    """The metrics of both servers, `count` times or as often as the scenario allows."""

    def pair() -> Pair:
        ours = measure(scenario, servers.ours, servers, settings, scenario.wal)
        if scenario.against is Against.NOBODY:
            return ours, {}
        other = servers.theirs if scenario.against is Against.THE_OTHER else servers.ours
        wal = None if scenario.against is Against.NO_LOG else scenario.wal
        return ours, measure(scenario, other, servers, settings, wal, THEIRS)

    times = range(min(count, scenario.most_pairs))
    if scenario.restless:
        return [pair() for _ in times]
    return [patience.calmest(pair, disturbance, DISTURBED) for _ in times]


def measure(
    scenario: Scenario,
    server: str,
    servers: Servers,
    settings: Settings,
    wal: Options | None,
    side: int = OURS,
) -> Metrics:
    """Runs the scenario once, on a fresh server with a fresh log, or none."""
    server_core, load_core = _cores()
    metrics: Metrics = {}
    with _log(wal, servers.logs) as (options, log):
        for stage in range(len(scenario.stages(side))):
            with running(server, servers.python, server_core, options, log) as target:
                work = partial(_run, scenario.name, side, stage)
                metrics |= in_own_process(load_core, work, target, settings)
    return metrics


@contextmanager
def _log(wal: Options | None, parent: Path) -> Iterator[tuple[list[str], Path | None]]:
    """Words of the command line that make a server keep a log, and where."""
    if wal is None:
        yield [], None
        return
    with fresh_directory(parent) as directory:
        yield wal.words(directory), directory


def _cores() -> tuple[int, int]:
    """One core for the server, another one for the load."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < _CORES:
        raise ServerFailed("a server and its load need a core each")
    return cores[0], cores[1]


def _run(name: str, side: int, stage: int, target: Target, settings: Settings) -> Metrics:
    """What the load process does. Scenarios hold functions and travel by name."""
    scenario = next(one for one in SCENARIOS if one.name == name)
    with limited(_SCENARIO_LIMIT_S):
        return scenario.stages(side)[stage](target, settings)
