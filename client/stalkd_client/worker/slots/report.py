"""What is said and counted of jobs. One for each slot: lines are collected, and written at once."""

from __future__ import annotations

import time
from math import ceil
from typing import Final

from stalkd_client.worker.logs import Log
from stalkd_client.worker.messages import Result, Trouble
from stalkd_client.worker.slots.endings import Ending
from stalkd_client.worker.slots.held import Held
from stalkd_client.worker.slots.tally import Tally

LEVEL: Final = {
    "done": "info",
    "retried": "warning",
    "moved": "warning",
    "buried": "error",
    "failed": "error",
    "refused": "warning",
    "returned": "debug",
    "lost": "warning",
}
"""How loud the end of a job is told."""

FAILURES: Final = frozenset({"moved", "buried", "failed"})
"""What ``--fail-on-error`` is about: errors that are not tried again."""


class Report:
    """Counts in a tally, and writes to a log."""

    def __init__(self, log: Log, tally: Tally, *, has_server: bool = True) -> None:
        """Tell of jobs of a server, which alone can bury them, and has delays of whole seconds."""
        self._has_server = has_server
        self._log = log
        self._tally = tally
        self._lines: list[str] = []

    def ended(self, ending: Ending) -> None:
        """Tell that a job has ended, and how."""
        held, result, status = ending.held, ending.result, ending.status
        if status == "buried" and not self._has_server:
            status = "failed"
        tally = self._tally
        tally.add(status, held.job.tube)
        if status == "returned":
            tally.give_back()
        elif status in {"done", *FAILURES}:
            tally.forget(held.job.id)
        put_off = status in {"retried", "refused"}
        tally.ended_one(time.monotonic() + result.delay + 1 if put_off and result.delay else 0.0)
        self._line(status, held, result)

    def lost(self, held: Held, result: Result, reason: Exception | None) -> None:
        """Tell that a job was not this worker's any more when it was done."""
        self._tally.add("lost", held.job.tube)
        if result.kind == "late":
            self._tally.give_back()
        self._tally.ended_one()
        why = "the lease was over before the work was" if reason is None else str(reason)
        self._line("lost", held, result, reason=why)

    def died(self, held: Held, cause: str) -> None:
        """Tell that a child died with a job."""
        self._tally.add("died", held.job.tube)
        about = {"queue": held.job.tube, "id": held.job.id, "attempt": held.attempt}
        self._log.say("error", "process-died", **about, cause=cause)

    def hook_failed(self, held: Held, result: Result) -> None:
        """Tell that a hook of a job has failed; at level debug, also where."""
        trouble = result.trouble or Trouble("", "")
        about = {"queue": held.job.tube, "id": held.job.id, "hook": result.task}
        about["error"] = trouble.line
        if self._log.shows("debug"):
            about["traceback"] = trouble.traceback
        self._log.say("error", "hook-failed", **about)

    def refused(self, ending: Ending, error: Exception) -> None:
        """Tell that something could not be stored."""
        held = ending.held
        self._log.say("warning", "not-stored", queue=held.job.tube, id=held.job.id, error=error)

    def _line(self, status: str, held: Held, result: Result, **more: object) -> None:
        level = LEVEL[status]
        if not self._log.shows_job(level):
            return
        about: dict[str, object] = {"queue": held.job.tube, "id": held.job.id}
        if result.task:
            about["task"] = result.task
        about |= {"attempt": held.attempt, "seconds": f"{result.seconds:.3f}"}
        if result.trouble is not None:
            about["error"] = result.trouble.line
        if status == "retried":
            about["delay"] = f"{ceil(result.delay) if self._has_server else result.delay:.3f}"
        if status == "moved":
            about["to"] = result.queue
        self._lines.append(self._log.line(level, status, {**about, **more}))

    def flush(self) -> None:
        """Write what was collected."""
        if self._lines:
            self._log.write("".join(self._lines))
            self._lines.clear()
