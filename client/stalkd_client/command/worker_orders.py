"""Telling workers what to do, and waiting until their reports say that it is done."""

from __future__ import annotations

import json
import secrets
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

ORDER_BYTES: Final = 8
"""So random that no two orders are ever the same, as ids are after the restart of a server."""

IsDone = Callable[[Worker], bool]


def _is_quiet(now: Worker) -> bool:
    return now.text("state") == "quiet"


def _is_loud(now: Worker) -> bool:
    return now.text("state") != "quiet"


def _never(now: Worker) -> bool:
    del now
    return False


SHOWN_BY: Final[dict[Command, IsDone]] = {
    "quiet": _is_quiet,
    "resume": _is_loud,
    "reload": _never,  # There may be others: how this one ended is told by its name.
    "stop": _never,  # It is gone then.
}
"""By what the state of a report shows that a worker has done what it was told."""


class Result(NamedTuple):
    """How it stands at the end: who has done it, who could not, and who has not in time."""

    done: list[Worker]
    failed: list[Worker]
    late: list[Worker]


def order(client: Client, command: Command, workers: Sequence[Worker], timeout: float) -> Result:
    """Tell workers, and wait so many seconds at most; what they have not read is taken back."""
    name = secrets.token_hex(ORDER_BYTES)
    sent = [_send(client, command, name, each) for each in workers]
    ends = time.monotonic() + timeout
    while True:
        result = _look(client, command, name, workers)
        if not result.late or time.monotonic() >= ends:
            break
        time.sleep(LOOK_AGAIN_S)
    if result.late:
        for job in sent:
            with suppress(NotFoundError):
                client.delete(job)
    return result


def _send(client: Client, command: Command, name: str, worker: Worker) -> int:
    body: dict[str, str] = {"do": command, "order": name}
    if worker.instance != "-":
        body["for"] = worker.instance
    return client.put(json.dumps(body), tube=control_of(worker.name), ttl=COMMAND_TTL_S)


def _look(client: Client, command: Command, name: str, workers: Sequence[Worker]) -> Result:
    """Read what workers tell now."""
    now = {each.key: each for each in all_workers(client)}
    result = Result([], [], [])
    for before in workers:
        after = now.get(before.key)
        outcome = "done" if after is None else after.outcome(name)
        if after is None or outcome == "done" or SHOWN_BY[command](after):
            result.done.append(after or before)
        elif outcome == "failed":
            result.failed.append(after)
        else:
            result.late.append(after)
    return result
