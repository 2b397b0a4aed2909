"""What workers tell of themselves, read with care: anybody can put such a report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from stalkd_client import requests
from stalkd_client.client import Client
from stalkd_client.command.exits import CommandError
from stalkd_client.command.session import require_stalkd
from stalkd_client.command.tube_stats import AT_ONCE, ask_all
from stalkd_client.pieces import pieces
from stalkd_client.reports import REPORTS
from stalkd_client.tubes import listed

MOST_SENSIBLE: Final = 1e15
"""Numbers beyond this are nonsense, and some cannot be shown."""

LOOKS: Final = 5
"""How often the list is read again when a report was replaced meanwhile, which is rare."""

WITHOUT: Final = "workers report themselves to stalkd only: beanstalkd would keep their reports"


@dataclass(frozen=True, slots=True)
class Worker:
    """The report of a worker; ``told`` is all of it."""

    name: str
    told: dict[str, Any]

    def text(self, key: str) -> str:
        """Return a member as text, ``-`` if there is none."""
        value = self.told.get(key)
        return value if isinstance(value, str) and value else "-"

    def number(self, *keys: str) -> float:
        """Return a number, which may be in a member of a member; 0 if there is none."""
        value: Any = self.told
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return sensible(value)

    def outcome(self, order: str) -> str:
        """Return how the order of that name ended, nothing if that is not told."""
        reloads = self.told.get("reloads")
        orders = reloads.get("orders") if isinstance(reloads, dict) else None
        return str(orders.get(order, "")) if isinstance(orders, dict) else ""

    @property
    def instance(self) -> str:
        """What no other worker has, not even one of the same name."""
        return self.text("instance")

    @property
    def key(self) -> str:
        """What tells it from others: the instance, or the name of one that does not say it."""
        return self.name if self.instance == "-" else self.instance

    @property
    def queues(self) -> list[str]:
        """The queues that it serves."""
        queues = self.told.get("queues")
        return [str(each) for each in queues] if isinstance(queues, list) else []

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """The jobs that it works on."""
        jobs = self.told.get("jobs")
        return [each for each in jobs if isinstance(each, dict)] if isinstance(jobs, list) else []


def sensible(value: object) -> float:
    """Return a number as it is, 0 for anything else."""
    if isinstance(value, (int, float)) and abs(value) < MOST_SENSIBLE:
        return value
    return 0


def all_workers(client: Client) -> list[Worker]:
    """Return the workers of a server, by name. Raises NeedsStalkdError."""
    require_stalkd(client, WITHOUT)
    found: list[Worker] = []
    for _ in range(LOOKS):
        ids = [int(told["id"]) for told in listed(client, REPORTS, "reserved")]
        bodies = [
            job.body
            for piece in pieces(ids, AT_ONCE)
            for job in ask_all(client, [requests.peek(each) for each in piece])
        ]
        found = read(bodies)
        if len(bodies) == len(ids):
            break
    return found


def read(bodies: Iterable[bytes]) -> list[Worker]:
    """Return the workers that reports are about; of two about the same, the later one counts."""
    found: dict[str, Worker] = {}
    for body in bodies:
        try:
            told = json.loads(body)
        except (ValueError, RecursionError):
            continue
        if isinstance(told, dict) and isinstance(told.get("name"), str) and told["name"]:
            worker = Worker(told["name"], told)
            found[worker.key] = worker
    return sorted(found.values(), key=lambda each: (each.name, each.instance))


def matching(workers: Sequence[Worker], patterns: Sequence[str]) -> list[Worker]:
    """Return those whose names match, all if there is no pattern.

    Raises CommandError for a pattern that matches none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(each.name, pattern) for each in workers):
            raise CommandError(f"no worker is called {pattern!r}")
    if not workers:
        raise CommandError("no worker reports itself here")
    return [
        each
        for each in workers
        if not patterns or any(fnmatchcase(each.name, pattern) for pattern in patterns)
    ]
