"""Shows where stalkd spends its time: `python bench/hotspots.py put-50x1`.

cProfile makes every call slower, small functions most of all: read the order, not the numbers.
(It cannot be called profile.py: cProfile imports a module of that name.)
"""

import argparse
import pstats
import sys
import tempfile
from pathlib import Path

if __package__ in (None, ""):  # run as a script: then this directory, not its parent, is listed
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench.jobs import VARIED
from bench.pairs import measure, prepare
from bench.scenarios import SCENARIOS, Settings

_TOP = 30
_COMMAND = "{{python}} -m cProfile -o {stats} -m stalkd -l 127.0.0.1 -p {{port}}"


def main() -> None:
    """Runs one scenario and prints the functions that took longest."""
    parser = argparse.ArgumentParser(description="Profiles stalkd under a scenario of run.py.")
    parser.add_argument("scenario", choices=[one.name for one in SCENARIOS])
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help="for stalkd")
    parser.add_argument("--top", type=int, default=_TOP, metavar="N", help="functions to show")
    parser.add_argument("--sort", default="tottime", choices=["tottime", "cumtime", "ncalls"])
    options = parser.parse_args()
    prepare()
    scenario = next(one for one in SCENARIOS if one.name == options.scenario)
    with tempfile.TemporaryDirectory() as directory:
        stats = Path(directory) / "stats"
        command = _COMMAND.format(stats=stats)
        measure(scenario, command, options.python, Settings(quick=False, shape=VARIED))
        pstats.Stats(str(stats)).sort_stats(options.sort).print_stats(options.top)


if __name__ == "__main__":
    main()
