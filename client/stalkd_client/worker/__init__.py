"""The worker: ``stalk-worker module:func`` runs a handler over the jobs of queues.

What handlers need of it is here; nothing else is loaded by that.
"""

from __future__ import annotations

import signal

from stalkd_client.worker.declaring import handler
from stalkd_client.worker.middleware import JobContext, Middleware
from stalkd_client.worker.retrying import Retry, Route
from stalkd_client.worker.stages import Pipeline, Stage
from stalkd_client.worker.task import CommandError, CurrentJob, SoftTimeLimitError

__all__ = [
    "CommandError",
    "CurrentJob",
    "JobContext",
    "Middleware",
    "Pipeline",
    "Retry",
    "Route",
    "SoftTimeLimitError",
    "Stage",
    "handler",
    "main",
]

for _each in (CommandError, Retry, SoftTimeLimitError):  # So logs and records name them.
    _each.__module__ = __name__


def main() -> None:
    """Be the command ``stalk-worker``."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # Else in the background.
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Nothing has begun that is to be tidied up.
    from stalkd_client.worker.cli import main as run  # noqa: PLC0415 - handlers need no click

    run()
