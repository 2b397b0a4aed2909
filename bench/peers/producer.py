"""Pushes jobs, in a process of its own, with the library of the system that is measured."""

import json
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypedDict

from bench.peers.processes import running

APPS = Path(__file__).resolve().parent / "apps"


class _Answer(TypedDict):
    began: int
    seconds: float


class Pushed(NamedTuple):
    """When the first push began, in ns of the monotonic clock, and jobs per second."""

    began: int
    rate: float


class Producer:
    """Knows which jobs it has pushed; they are numbered from 0."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.has_bulk: bool = json.loads(self._line())["bulk"]
        self.pushed = 0

    def push(self, count: int) -> Pushed:
        """One by one. Raises RuntimeError if that fails."""
        return self._ask("push", count)

    def push_many(self, count: int) -> Pushed:
        """In one call. Raises RuntimeError if that fails."""
        return self._ask("push_many", count)

    def _ask(self, how: str, count: int) -> Pushed:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{how} {self.pushed} {count}\n".encode())
        self._process.stdin.flush()
        answer: _Answer = json.loads(self._line())
        self.pushed += count
        return Pushed(answer["began"], count / answer["seconds"])

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("cannot push")
        return line


@contextmanager
def producing(python: str, app: str, log: Path, env: Mapping[str, str]) -> Iterator[Producer]:
    """A producer for an app; what goes wrong is in the log."""
    words = [*shlex.split(python), str(APPS / "producer.py"), app]
    with running(words, log, env, talks=True) as process:
        yield Producer(process)
