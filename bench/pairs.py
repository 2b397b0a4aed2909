"""Runs one scenario on both servers in turn: A B A B, each time on a fresh one."""

import os
import resource
import signal
import sys
from dataclasses import dataclass

from bench.calm import Patience
from bench.isolate import in_own_process
from bench.limit import limited
from bench.report import Pair
from bench.scenarios import SCENARIOS, Metrics, Scenario, Settings
from bench.servers import ServerFailed, Target, running

# The longest scenario takes 20 s; one that takes ten times as long has gone wrong.
_SCENARIO_LIMIT_S = 200
_CORES = 2


@dataclass(frozen=True)
class Servers:
    """The two servers, each a name or a command, and the interpreter to run stalkd with."""

    ours: str
    theirs: str
    python: str


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
        return (
            measure(scenario, servers.ours, servers.python, settings),
            measure(scenario, servers.theirs, servers.python, settings),
        )

    return [patience.calmest(pair) for _ in range(min(count, scenario.most_pairs))]


def measure(scenario: Scenario, server: str, python: str, settings: Settings) -> Metrics:
    """Runs the scenario once, on a fresh server."""
    server_core, load_core = _cores()
    with running(server, python, server_core) as target:
        return in_own_process(load_core, _run, scenario.name, target, settings)


def _cores() -> tuple[int, int]:
    """One core for the server, another one for the load."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < _CORES:
        raise ServerFailed("a server and its load need a core each")
    return cores[0], cores[1]


def _run(name: str, target: Target, settings: Settings) -> Metrics:
    """What the load process does. Scenarios hold functions and travel by name."""
    scenario = next(one for one in SCENARIOS if one.name == name)
    with limited(_SCENARIO_LIMIT_S):
        return scenario.run(target, settings)
