"""A work queue at work: ``make demo`` runs this, and it ends by itself.

A daemon is started on a free port. One client puts a job for each source file of this repository;
two others take the jobs, compute the file's SHA-256 and its lines, and put the result into another
tube, from where it is collected and printed. The client is greenstalk, as it comes from PyPI.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import greenstalk

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("stalkd", "tests", "bench", "examples")
WORKERS = 2
PATIENCE_S = 10  # A result that takes longer than this will not come.

Address = tuple[str, int]


@contextmanager
def daemon() -> Iterator[Address]:
    """Run stalkd on a free port of this machine; give its address."""
    command = [sys.executable, "-m", "stalkd", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            print(line, end="")
            match = re.search(r"address=(\S+):(\d+)", line)
            if match is None:
                sys.exit(f"stalkd did not start: {line}")
            yield match[1], int(match[2])
        finally:
            process.terminate()


def produce(address: Address) -> int:
    """Put one job for each source file; return how many."""
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    with greenstalk.Client(address, use="files") as client:
        for path in files:
            client.put(str(path.relative_to(ROOT)), ttr=PATIENCE_S)
    return len(files)


def work(address: Address) -> None:
    """Do jobs until none is left. A job is deleted only when its result is safe in the queue."""
    with greenstalk.Client(address, use="results", watch="files") as client:
        while True:
            try:
                job = client.reserve(timeout=0)
            except greenstalk.TimedOutError:
                return
            client.put(json.dumps(examine(job.body)))
            client.delete(job)


def examine(name: str) -> tuple[str, int, str]:
    """Return a file's name, lines and SHA-256."""
    content = (ROOT / name).read_bytes()
    return name, content.count(b"\n"), hashlib.sha256(content).hexdigest()


def collect(address: Address, count: int) -> list[tuple[str, int, str]]:
    """Take ``count`` results."""
    results = []
    with greenstalk.Client(address, watch="results") as client:
        for _ in range(count):
            job = client.reserve(timeout=PATIENCE_S)
            results.append(tuple(json.loads(job.body)))
            client.delete(job)
    return sorted(results)


def main() -> None:
    """Put, work, collect, and print the result as a table."""
    with daemon() as address:
        count = produce(address)
        for _ in range(WORKERS):
            threading.Thread(target=work, args=[address]).start()
        results = collect(address, count)
    print(f"{'lines':>6}  {'sha-256':<16}  file")
    for name, lines, digest in results:
        print(f"{lines:6}  {digest[:16]}  {name}")
    print(f"{sum(lines for _, lines, _ in results):6}  in {count} files, {WORKERS} workers")


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # Its output goes into ``head``, say; the daemon has been stopped.
        os._exit(0)
