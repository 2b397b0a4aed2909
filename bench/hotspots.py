"""Shows where stalkd spends its time: `python bench/hotspots.py put-50x1`.

By default from samples, which cost nothing in between: read them as shares of the time.
With --calls by cProfile, which counts all calls and makes each of them slower, small functions most
of all: read the order, not the numbers.
(It cannot be called profile.py: cProfile imports a module of that name.)
"""

import argparse
import json
import pstats
import sys
import tempfile
from collections import Counter
from pathlib import Path

if __package__ in (None, ""):  # run as a script: then this directory, not its parent, is listed
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench.jobs import VARIED
from bench.pairs import Servers, measure, prepare
from bench.scenarios import SCENARIOS, Settings

_TOP = 30
_RUNS = 5
_SAMPLED = "{{python}} -m bench.sampler {file} -l 127.0.0.1 -p {{port}}"
_CALLS = "{{python}} -m cProfile -o {file} -m stalkd -l 127.0.0.1 -p {{port}}"


def main() -> None:
    """Runs one scenario and prints the functions that took longest."""
    parser = argparse.ArgumentParser(description="Profiles stalkd under a scenario of run.py.")
    parser.add_argument("scenario", choices=[one.name for one in SCENARIOS])
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help="for stalkd")
    parser.add_argument("--top", type=int, default=_TOP, metavar="N", help="functions to show")
    parser.add_argument("--calls", action="store_true", help="by cProfile instead of by samples")
    parser.add_argument("--sort", default="tottime", choices=["tottime", "cumtime", "ncalls"])
    runs = "runs to take samples of, some hundred in each"
    parser.add_argument("--runs", type=int, default=_RUNS, metavar="N", help=runs)
    options = parser.parse_args()
    prepare()
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "profile"
        if options.calls:
            _run(options.scenario, _CALLS.format(file=file), options.python)
            pstats.Stats(str(file)).sort_stats(options.sort).print_stats(options.top)
            return
        lines: Counter[str] = Counter()
        functions: Counter[str] = Counter()
        for _ in range(options.runs):
            _run(options.scenario, _SAMPLED.format(file=file), options.python)
            samples = json.loads(file.read_text())
            lines.update(samples["lines"])
            functions.update(samples["functions"])
    _show("lines, by themselves", lines, lines.total(), options.top)
    _show("functions, with all that they call", functions, lines.total(), options.top)


def _run(name: str, command: str, python: str) -> None:
    scenario = next(one for one in SCENARIOS if one.name == name)
    servers = Servers(command, command, python, Path(tempfile.gettempdir()))
    measure(scenario, command, servers, Settings(quick=False, shape=VARIED), scenario.wal)


def _show(title: str, counts: Counter[str], total: int, top: int) -> None:
    """Prints shares of the time, the largest first."""
    print(f"\n{title}; {total} samples")
    for place, count in counts.most_common(top):
        print(f"{count / total:7.1%}  {place}")


if __name__ == "__main__":
    main()
