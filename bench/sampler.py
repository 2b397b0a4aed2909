"""Runs stalkd and notes where it is: `python -m bench.sampler FILE OPTION...`.

The kernel interrupts it after each bit of processor time that it has used. Unlike cProfile this
does not slow down calls, and it tells lines. Python looks for interrupts at calls and in loops:
what C code does counts for the line that calls it, plain statements for the next call. Threads of
the server count for what the main thread does meanwhile.
"""

import json
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

from stalkd.cli import main

# The kernel counts in ticks, so it will be 1 to 10 ms.
_INTERVAL_S = 0.001

_ROOT = "server/reactor.py:Reactor.run"

_lines: Counter[str] = Counter()
_functions: Counter[str] = Counter()


def _note(_signal: int, frame: FrameType | None) -> None:
    """Counts the line that runs, and all functions of ours that are under way.

    Nothing before the reactor runs, and nothing after it.
    """
    if frame is None:
        return
    line = f"{_function(frame)}:{frame.f_lineno}"
    under_way = set()
    while frame is not None and _ROOT not in under_way:
        under_way.add(_function(frame))
        frame = frame.f_back
    if _ROOT in under_way:
        _lines[line] += 1
        _functions.update(under_way)


def _function(frame: FrameType) -> str:
    code = frame.f_code
    return f"{'/'.join(Path(code.co_filename).parts[-2:])}:{code.co_qualname}"


def _run(file: Path) -> None:
    signal.signal(signal.SIGPROF, _note)
    signal.setitimer(signal.ITIMER_PROF, _INTERVAL_S, _INTERVAL_S)
    try:
        main()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        file.write_text(json.dumps({"lines": _lines, "functions": _functions}))


if __name__ == "__main__":
    _path = Path(sys.argv.pop(1))
    _run(_path)
