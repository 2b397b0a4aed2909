"""Where jobs arrive: they are held back until it is certain that they belong here.

A job that is held is a delayed one: no worker gets it, whoever counts finds it, and if everything
dies that was going to say more about it, it becomes ready by itself. So nothing is lost, ever.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from stalkd_client import requests
from stalkd_client.client import Client
from stalkd_client.command.pouring import windows
from stalkd_client.command.records import Freight
from stalkd_client.command.session import knows_extended
from stalkd_client.command.tube_stats import AT_ONCE, ask_all, present
from stalkd_client.errors import StalkdError
from stalkd_client.exchange import Request
from stalkd_client.pieces import pieces

T = TypeVar("T")

HOLD_S: Final = 3_607
"""How long a job is held back at most, and by which delay it is known: long enough for somebody to
start anew what was killed, short enough for a job that nobody comes for; and no round number."""


class Landing:
    """One tube of a server, on a connection of its own that uses it."""

    def __init__(self, client: Client, tube: str) -> None:
        """Connect."""
        self.client: Client = client
        self.tube: str = tube
        self.extended: bool = knows_extended(client)

    def put(
        self, freights: Sequence[Freight], keys: Sequence[str | None], *, hold_ready: bool
    ) -> list[int | StalkdError]:
        """Put jobs; return the id of each, or why it was refused.

        Buried ones are held back, to be buried; and ready ones, if ``hold_ready``.
        """
        asked = [
            self.fit(freight).put(delay=self._delay(freight, hold_ready=hold_ready), key=key)
            for freight, key in zip(freights, self._keys(freights, keys), strict=True)
        ]
        return [each for piece in windows(asked) for each in self.client.execute_all(piece)]

    def _keys(self, freights: Sequence[Freight], keys: Sequence[str | None]) -> list[str | None]:
        """A job's own key tells copies apart as well as ours would, and somebody needs it."""
        if not self.extended:
            return [None] * len(freights)
        return [freight.key or key for freight, key in zip(freights, keys, strict=True)]

    def fit(self, freight: Freight) -> Freight:
        """Return a job as this server can have it: beanstalkd knows neither keys nor fractions."""
        if self.extended:
            return freight
        plain: dict[str, Any] = {"key": None, "ttl": None, "attempts": None, "dead": None}
        return replace(freight, ttr=math.ceil(freight.ttr), **plain)

    def _delay(self, freight: Freight, *, hold_ready: bool) -> float:
        if freight.state == "delayed":
            delay = freight.delay if self.extended else math.ceil(freight.delay)
            return HOLD_S + 1 if math.ceil(delay) == HOLD_S else delay  # It is known by that delay.
        return HOLD_S if freight.state == "buried" or hold_ready else 0

    def bury(self, landed: Sequence[tuple[int, Freight]]) -> None:
        """Bury those of these jobs that are held back here."""
        for piece in pieces(landed, AT_ONCE):
            held = self._held([job for job, _ in piece])
            priorities = {job: freight.priority for job, freight in piece if job in held}
            bury_all(self.client, priorities)

    def let_go(self, jobs: Sequence[int]) -> int:
        """Make those of these jobs ready that are held back here; return how many."""
        done = 0
        for piece in pieces(jobs, AT_ONCE):
            held = self._held(piece)
            done += self._all([requests.kick_job(job) for job in piece if job in held])
        return done

    def _held(self, jobs: Sequence[int]) -> set[int]:
        """Return which jobs were held back and never let go: nobody else says just this delay."""
        told = ask_all(self.client, [requests.stats_job(job) for job in jobs])
        return {
            int(str(each["id"]))
            for each in told
            if each["state"] == "delayed" and each["delay"] == HOLD_S
        }

    def take_back(self, jobs: Sequence[int]) -> int:
        """Delete jobs that do not belong here after all; return how many somebody has already."""
        return len(jobs) - self._all([requests.delete(job) for job in jobs])

    def _all(self, asked: Sequence[Request[None]]) -> int:
        return sum(len(ask_all(self.client, piece)) for piece in pieces(asked, AT_ONCE))


def bury_all(client: Client, priorities: dict[int, int]) -> dict[int, bool]:
    """Bury jobs that nobody holds, with these priorities; tell of each whether it was done.

    Only reserved jobs can be buried. Both commands go out together: if the connection broke between
    them, a job that was delayed or buried would become ready.
    """
    pairs: list[Request[Any]] = []
    for job, priority in priorities.items():
        pairs += [requests.reserve_job(job), requests.bury(job, priority=priority)]
    results = client.execute_all(pairs)
    present(results)
    return dict(zip(priorities, [result is None for result in results[1::2]], strict=True))
