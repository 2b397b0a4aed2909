"""An external program as a handler: the body on its stdin, its output on stdout."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from typing import Final

from stalkd_client.worker.task import CommandError, CurrentJob

STDERR_BYTES: Final = 2_000
"""Of what a failed program said: its end."""


class Command:
    """Runs a program for each job."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)

    def __call__(self, body: bytes, job: CurrentJob) -> bytes | None:
        """Return what the program wrote; None if that is nothing. Raises CommandError, OSError."""
        environment = {
            **os.environ,
            "STALKD_JOB_ID": str(job.id),
            "STALKD_JOB_ATTEMPT": str(job.attempt),
            "STALKD_JOB_QUEUE": job.queue,
        }
        done = subprocess.run(  # noqa: S603 - it is what the user named
            self._words, input=body, capture_output=True, check=False, env=environment
        )
        if done.returncode:
            said = done.stderr[-STDERR_BYTES:].decode("utf-8", "replace").strip()
            how = f"exit code {done.returncode}"
            if done.returncode < 0:
                how = f"signal {-done.returncode}"
            told = ": ".join(filter(None, (self._words[0], how, said)))
            raise CommandError(told, done.returncode)
        return done.stdout or None


class Lines:
    """The same, for ``--iter-output``: each line is an output of its own."""

    def __init__(self, words: Sequence[str]) -> None:
        self._run = Command(words)

    def __call__(self, body: bytes, job: CurrentJob) -> list[bytes] | None:
        """Return the lines that the program wrote. Raises CommandError, OSError."""
        written = self._run(body, job)
        return None if written is None else written.splitlines()
