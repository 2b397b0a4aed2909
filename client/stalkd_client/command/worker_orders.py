"""Telling workers what to do, and waiting until their reports say that it is done."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from stalkd_client.client import Client
from stalkd_client.command.worker_reports import Worker, all_workers
from stalkd_client.errors import NotFoundError
from stalkd_client.reports import Command, control_of

LOOK_AGAIN_S: Final = 0.1
"""How often reports are read while they are waited for."""

COMMAND_TTL_S: Final = 60.0
"""How long a command waits for a worker, if nobody takes it back."""

Outcome = Callable[[Worker, Worker], bool]


def _is_quiet(before: Worker, now: Worker) -> bool:
    del before
    return now.text("state") == "quiet"


def _is_loud(before: Worker, now: Worker) -> bool:
    del before
    return now.text("state") != "quiet"


def _has_new_code(before: Worker, now: Worker) -> bool:
    return now.number("reloads", "done") > before.number("reloads", "done")


def _never(before: Worker, now: Worker) -> bool:
    del before, now
    return False


def has_refused(before: Worker, now: Worker) -> bool:
    """Tell whether the code could not be loaded anew."""
    return now.number("reloads", "failed") > before.number("reloads", "failed")


OUTCOMES: Final[dict[Command, Outcome]] = {
    "quiet": _is_quiet,
    "resume": _is_loud,
    "reload": _has_new_code,
    "stop": _never,  # It is gone then.
}
"""By what a report shows that a worker has done what it was told."""


class Result(NamedTuple):
    """How it stands at the end: who has done it, who could not, and who has not in time."""

    done: list[Worker]
    failed: list[Worker]
    late: list[Worker]


def order(client: Client, command: Command, workers: Sequence[Worker], timeout: float) -> Result:
    """Tell workers, and wait so many seconds at most; what they have not read is taken back."""
    sent = [_send(client, command, each) for each in workers]
    ends = time.monotonic() + timeout
    while True:
        result = _look(client, command, workers)
        if not result.late or time.monotonic() >= ends:
            break
        time.sleep(LOOK_AGAIN_S)
    if result.late:
        for job in sent:
            with suppress(NotFoundError):
                client.delete(job)
    return result


def _send(client: Client, command: Command, worker: Worker) -> int:
    body: dict[str, str] = {"do": command}
    if worker.instance != "-":
        body["for"] = worker.instance
    return client.put(json.dumps(body), tube=control_of(worker.name), ttl=COMMAND_TTL_S)


def _look(client: Client, command: Command, workers: Sequence[Worker]) -> Result:
    """Compare what workers tell now with what they told before."""
    now = {each.key: each for each in all_workers(client)}
    result = Result([], [], [])
    for before in workers:
        after = now.get(before.key)
        if after is None or OUTCOMES[command](before, after):
            result.done.append(after or before)
        elif command == "reload" and has_refused(before, after):
            result.failed.append(after)
        else:
            result.late.append(after)
    return result
