"""A work queue at work: ``make demo`` runs this, and it ends by itself.

A daemon that keeps its jobs on disk, and two workers: the first examines each source file of this
repository, the second adds up by folder what the first found. What they run is in ``stages.py``.
One of the files does not exist; so one job is tried again, and then put aside.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from stalkd_client import Queue

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
FOLDERS = ("stalkd", "client", "tests", "bench", "examples")
MISSING = "examples/not_there.py"
COMMANDS = Path(sysconfig.get_path("scripts"))  # Where pip puts them, also if that is in no PATH.

DAEMON = "stalkd -l 127.0.0.1 -p 0 -b log"
EXAMINE = (
    "stalk-worker -p 3 -q files -o examined --burst --log-level warning --no-live"
    " --retry-on OSError --max-retries 1 --retry-delay 1 stages:examine"
)
ADD_UP = "stalk-worker -q examined -o totals --log-level warning --no-live stages:Folders"

TICK_S = 0.2
PATIENCE_S = 25  # Work that takes longer than this will not end.
STOP_S = 5

Total = dict[str, Any]  # What stages.Folders returns.
Process = subprocess.Popen[str]

say = partial(print, flush=True)  # What the workers log comes between, also in a pipe.


@contextmanager
def running(command: str, directory: Path, **environment: str) -> Iterator[Process]:
    """Run one of our commands in a directory, and end it."""
    say("$", command)
    program, *options = shlex.split(command)
    process = subprocess.Popen(
        [COMMANDS / program, *options],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(HERE), **environment},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE if program == "stalkd" else None,
        text=True,
        process_group=0,  # Ctrl-C is for this program, which ends the others in the right order.
    )
    try:
        yield process
    finally:
        end(process)


def end(process: Process) -> None:
    """Ask it to end, and make it if it does not."""
    process.terminate()
    try:
        process.communicate(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def address(daemon: Process) -> str:
    """Read where the daemon listens from its log: it has chosen a free port."""
    assert daemon.stderr is not None
    for line in daemon.stderr:
        say(line, end="")
        if " listening " in line:
            return "stalkd://" + line.split("address=")[1].split()[0]
    sys.exit("stalkd did not start")


def produce(url: str) -> int:
    """Put one job for each source file, and one for a file that is not there; return how many."""
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    names = [MISSING, *(str(path.relative_to(ROOT)) for path in files)]
    with Queue("files", url) as queue:
        queue.push_many(names)
    return len(names)


def wait(url: str, count: int, workers: list[Process], stop: threading.Event) -> None:
    """Show how far it is, until all is done. Exits if that cannot be, or should not."""
    shown, ends = "", time.monotonic() + PATIENCE_S
    with Queue("examined", url) as examined, Queue("totals", url) as totals:
        is_done = False
        while not is_done:
            # In this order: what the first worker has done last is seen in the queue.
            is_done = has_ended(workers) and not examined.count()
            line = f"{examined.inserted:5} examined, {totals.inserted:5} added up, of {count}"
            if line != shown:
                say(shown := line)
            if stop.wait(0 if is_done else TICK_S):
                sys.exit(128 + signal.SIGINT)
            if time.monotonic() > ends:
                sys.exit(f"not done after {PATIENCE_S} seconds")


def has_ended(workers: list[Process]) -> bool:
    """Tell whether the first worker has done all it had to do; the second one waits for more."""
    first, second = (worker.poll() for worker in workers)
    if first or second is not None:
        sys.exit("a worker has failed; see above")
    return first is not None


def show_failures(url: str) -> None:
    """Print the record of each job that was put aside; it stands in a queue beside the job."""
    with Queue("files", url) as files:
        for job in files.jobs("buried"):
            with Queue(f"error.{job['id']}", url) as records:
                (record,) = records.pop()
            say(
                f"put aside: job {record['id']} of {record['queue']}, {record['source_message']!r},"
                f" attempt {record['attempt']}, {record['exception']}: {record['message']}"
            )


def collect(url: str) -> list[Total]:
    """Take all totals; return the last of each folder."""
    last: dict[str, Total] = {}
    with Queue("totals", url) as queue:
        while totals := queue.pop(1000):
            last |= {total["folder"]: total for total in totals}
    return [last[folder] for folder in sorted(last)]


def show(totals: list[Total]) -> None:
    """Print the table, and a line with its sum."""
    row = "{files:>6} {distinct:>9} {lines:>7}  {folder}".format
    say(row(files="files", distinct="distinct", lines="lines", folder="folder"))
    for total in totals:
        say(row(**total))
    files, lines = (sum(total[name] for total in totals) for name in ("files", "lines"))
    say(row(files=files, distinct="", lines=lines, folder=f"in {len(totals)} folders"))


def interruption() -> threading.Event:
    """Return what is set when this program is to end: an exception could come at a bad moment."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    return stop


def main() -> None:
    """Put, work, wait, and print the results."""
    stop = interruption()
    with tempfile.TemporaryDirectory(prefix="stalkd-demo-") as name:
        directory = Path(name)
        with running(DAEMON, directory) as daemon:
            url = address(daemon)
            count = produce(url)
            with (
                running(EXAMINE, directory, STALKD_URL=url) as first,
                running(ADD_UP, directory, STALKD_URL=url) as second,
            ):
                wait(url, count, [first, second], stop)
            show_failures(url)
            show(collect(url))


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # Its output goes into ``head``, say; all processes have been stopped.
        os._exit(0)
