"""Compares two servers: `python bench/run.py`. See README.md beside it."""

import argparse
import json
import sys
import tempfile
import time
from concurrent.futures.process import BrokenProcessPool
from fnmatch import fnmatchcase
from pathlib import Path

if __package__ in (None, ""):  # run as a script: then this directory, not its parent, is listed
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench.calm import Patience
from bench.jobs import FIXED, VARIED
from bench.ledger import WrongReply
from bench.limit import Stalled
from bench.machine import describe
from bench.pairs import Servers, pairs, prepare
from bench.report import Pair, Report
from bench.scenarios import SCENARIOS, Scenario, Settings
from bench.servers import ServerFailed

_PAIRS = 5
_QUICK_PAIRS = 1
# A run of five pairs takes thirteen minutes on calm cores; with its patience, some more.
_PATIENCE_S = 100

_FAILURES = (WrongReply, Stalled, ServerFailed, BrokenProcessPool, OSError)


def main() -> int:
    """Runs what was asked for; 1 if any scenario failed, 2 if there is none."""
    options = _options()
    chosen = [one for one in SCENARIOS if fnmatchcase(one.name, options.only)]
    if not chosen:
        names = "\n".join(one.name for one in SCENARIOS)
        print(f"no scenario matches {options.only!r}; there are:\n{names}", file=sys.stderr)
        return 2
    prepare()
    head = list(describe(options.python, options.logs))
    print(*head, sep="\n")
    started = time.monotonic()
    results = _run(chosen, options)
    print(f"\n{time.monotonic() - started:.0f} s")
    if options.json:
        options.json.write_text(json.dumps({"on": head, "results": results}, indent=1) + "\n")
    return 0 if all(results.values()) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compares stalkd with beanstalkd.")
    parser.add_argument("--quick", action="store_true", help="one pair, fewer jobs: two minutes")
    parser.add_argument("--pairs", type=int, metavar="N", help=f"runs per server ({_PAIRS})")
    parser.add_argument("--only", default="*", metavar="GLOB", help="only scenarios so named")
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help="for stalkd")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results to FILE")
    parser.add_argument("--fixed", action="store_true", help="all jobs alike: 100 bytes, pri 0")
    logs = "where servers keep logs meanwhile: on a disk (the usual place for temporary files)"
    parser.add_argument(
        "--logs", type=Path, default=Path(tempfile.gettempdir()), metavar="DIR", help=logs
    )
    patience = f"for repeating pairs that were disturbed by other processes ({_PATIENCE_S})"
    parser.add_argument("--patience", type=int, default=_PATIENCE_S, metavar="S", help=patience)
    server = "stalkd, beanstalkd, or a command with {port} in it"
    parser.add_argument("--server", default="stalkd", metavar="NAME", help=server)
    parser.add_argument("--against", default="beanstalkd", metavar="NAME", help=server)
    return parser.parse_args()


def _run(chosen: list[Scenario], options: argparse.Namespace) -> dict[str, list[Pair]]:
    """The pairs by scenario, printed one by one; no pairs where one failed."""
    servers = Servers(options.server, options.against, options.python, options.logs)
    settings = Settings(options.quick, FIXED if options.fixed else VARIED)
    count = options.pairs or (_QUICK_PAIRS if options.quick else _PAIRS)
    patience = Patience(0 if options.quick else options.patience)
    report = Report((servers.ours, servers.theirs))
    results: dict[str, list[Pair]] = {}
    for scenario in chosen:
        results[scenario.name] = []
        try:
            results[scenario.name] = pairs(scenario, servers, settings, count, patience)
        except _FAILURES as error:
            report.failed(scenario, error)
        else:
            report.show(scenario, results[scenario.name])
    return results


if __name__ == "__main__":
    sys.exit(main())
