"""Workers over lines of stdin, for tests: run to their end, or step by step through pipes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from support.workers import CODE, COMMAND, PATIENCE_S, Worker

NO_SERVER = "stalkd://127.0.0.1:1"


class Done(NamedTuple):
    out: bytes
    log: str

    @property
    def lines(self) -> list[bytes]:
        return self.out.splitlines()


def once(text: bytes, *options: str, code: int = 0, url: str = NO_SERVER) -> Done:
    """Run all of a text."""
    done = subprocess.run(
        [*COMMAND, "--once", *options],
        input=text,
        capture_output=True,
        check=False,
        cwd=CODE,
        env={**os.environ, "STALKD_URL": url},
        timeout=PATIENCE_S,
    )
    log = done.stderr.decode()
    assert done.returncode == code, log
    return Done(done.stdout, log)


def as_lines(*messages: object) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in messages)


def records_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@contextmanager
def running(
    *options: str, stdin: int = subprocess.PIPE, stdout: int = subprocess.PIPE
) -> Iterator[Worker]:
    """A worker, whose stdin and stdout are pipes if nothing else is said."""
    made = Worker(NO_SERVER, *options, stdin=stdin, stdout=stdout)
    process = made.process
    try:
        yield made
    finally:
        if process.poll() is None:
            made.kill()
        made._reader.join(PATIENCE_S)
        for each in (process.stdin, process.stdout, process.stderr):
            if each is not None:
                each.close()


def write(made: Worker, text: bytes, *, is_all: bool = True) -> None:
    assert made.process.stdin is not None
    rest = memoryview(text)
    while rest:
        rest = rest[os.write(made.process.stdin.fileno(), rest) :]
    if is_all:
        made.process.stdin.close()


def read(made: Worker) -> list[str]:
    assert made.process.stdout is not None
    return made.process.stdout.read().splitlines()
