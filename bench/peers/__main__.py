"""Compares `stalk-worker` with other Python workers: `make bench-peers`. See ../README.md."""

import argparse
import os
import signal
import sys
import time
from fnmatch import fnmatchcase
from functools import partial
from itertools import product
from pathlib import Path

if __package__ in (None, ""):  # run as a directory: then the repository, not this, is listed
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)

from bench.calm import Patience
from bench.machine import machine
from bench.peers.measure import Failed, Figures, measure
from bench.peers.programs import Programs
from bench.peers.systems import SCALING, SYSTEMS, System
from bench.peers.table import table

_ROUNDS = 3
_PATIENCE_S = 30.0
_LIMIT_S = 300.0
"""After that nothing is begun beyond the first round: on a busy machine two must do."""
_REPEATING = f"for repeating what other processes disturbed ({_PATIENCE_S:.0f})"
_DISTURBED = 0.1
"""Watching, and the rest of a machine that is calm, take a few per cent of two cores."""


def main() -> int:
    """Measures those systems that are there, in turns; 1 if one has failed, 2 if there is none."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # all is cleaned up
    programs = Programs(options.peers)
    wanted = [one for one in SYSTEMS + SCALING if fnmatchcase(one.name, options.only)]
    missing = {one.name: lacking for one in wanted if (lacking := list(programs.lacks(one)))}
    for name, lacking in missing.items():
        print(f"left out: {name}, which lacks {'; '.join(lacking)}")
    chosen = [one for one in wanted if one.name not in missing]
    if not chosen:
        return 2
    print(machine(), *programs.versions(), sep="\n")
    return _compare(chosen, programs, options)


def others(figures: Figures) -> float:
    """The share of all processors that neither the worker nor its broker had."""
    return figures.others


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compares stalk-worker with other workers.")
    parser.add_argument("--rounds", type=int, default=_ROUNDS, metavar="N", help="runs of each")
    parser.add_argument("--only", default="*", metavar="GLOB", help="only systems so named")
    parser.add_argument("--scale", type=float, default=1.0, metavar="X", help="times the jobs")
    parser.add_argument("--patience", type=float, default=_PATIENCE_S, metavar="S", help=_REPEATING)
    commands = "directory of the peers' commands"
    parser.add_argument(
        "--peers", type=Path, default=Path(sys.prefix, "peers", "bin"), metavar="DIR", help=commands
    )
    return parser.parse_args()


def _compare(chosen: list[System], programs: Programs, options: argparse.Namespace) -> int:
    results: dict[str, list[Figures]] = {one.name: [] for one in chosen}
    failures: dict[str, Failed] = {}
    started, load = time.monotonic(), os.getloadavg()[0]
    patience = Patience(options.patience)
    for number, one in product(range(options.rounds), chosen):
        if number and time.monotonic() - started > _LIMIT_S:
            break
        once = partial(measure, one, programs, options.scale)
        try:
            results[one.name].append(patience.calmest(once, others, _DISTURBED))
        except Failed as failed:
            failures[one.name] = failed
    print(f"load before: {load:.1f}; {time.monotonic() - started:.0f} s\n")
    for systems in (SYSTEMS, SCALING):
        there = [(one, results[one.name]) for one in systems if one.name in results]
        if there:
            print(*table(there), "", sep="\n")
    print(*(f"- {one.name}: {one.note}" for one in chosen), sep="\n")
    print(*failures.values(), sep="\n", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
