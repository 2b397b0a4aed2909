"""Real workers for tests: started with a handler, watched, and always ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CODE = Path(__file__).resolve().parent.parent / "worker" / "code"
PATIENCE_S = 30.0
LOOK_AGAIN_S = 0.005

COMMAND = [sys.executable, "-P", "-c", "from stalkd_client.worker import main; main()"]
"""The installed package, not whatever lies in the current directory."""


class Worker:
    """One ``stalk-worker``; ``log`` has the lines it has written."""

    def __init__(
        self,
        url: str,
        *options: str,
        cwd: Path = CODE,
        command: Sequence[str] = COMMAND,
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = None,
    ) -> None:
        self.log: list[str] = []
        self.process = subprocess.Popen(
            [*command, *options],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env={**os.environ, "STALKD_URL": url},
        )
        self._came = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._came:
                self.log.append(line.rstrip("\n"))
                self._came.notify_all()

    def wait_for(self, text: str, count: int = 1) -> str:
        """Wait for a line of the log that contains this, or for so many."""

        def found() -> list[str]:
            return [line for line in self.log if text in line]

        with self._came:
            assert self._came.wait_for(lambda: len(found()) >= count, PATIENCE_S), self.told()
        return found()[count - 1]

    def count(self, text: str) -> int:
        return sum(text in line for line in self.log)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, within: float = PATIENCE_S) -> int:
        """Wait for the end; return the exit code."""
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"was still running after {within} s:\n{self.told()}") from None
        self._reader.join(PATIENCE_S)
        return code

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def told(self) -> str:
        return "\n".join(self.log)

    def children(self) -> list[int]:
        """The processes that run handlers."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(each) for each in path.read_text().split()]


@contextmanager
def worker(
    url: str, *options: str, cwd: Path = CODE, command: Sequence[str] = COMMAND
) -> Iterator[Worker]:
    """Run a worker; kill it at the end, if it still runs."""
    made = Worker(url, *options, cwd=cwd, command=command)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.kill()
        made._reader.join(PATIENCE_S)
        assert made.process.stderr is not None
        made.process.stderr.close()


def work_off(url: str, *options: str, code: int = 0, cwd: Path = CODE) -> Worker:
    """Run a worker until nothing is ready, and return it."""
    with worker(url, "--burst", *options, cwd=cwd) as made:
        assert made.wait() == code, made.told()
    return made


def wait_until(condition: Callable[[], Any], what: str = "") -> Any:
    """Wait until something is so, and return it."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, what or "it did not become so"
        time.sleep(LOOK_AGAIN_S)
    return value


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def can_unshare() -> bool:
    """Whether a test may have a process namespace of its own."""
    probe = ["unshare", "-fp", "--mount-proc", "true"]
    try:
        return subprocess.run(probe, check=False, capture_output=True).returncode == 0
    except OSError:
        return False
