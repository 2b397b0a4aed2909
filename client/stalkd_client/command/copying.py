"""Jobs copied from a tube of stalkd to another one, or to another server, by looking alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from stalkd_client import requests
from stalkd_client.client import Client
from stalkd_client.command.job_list import Told, by_size
from stalkd_client.command.landing import Landing
from stalkd_client.command.records import COPIED, freight_of
from stalkd_client.command.tube_stats import ask_all
from stalkd_client.errors import ExistsError, StalkdError
from stalkd_client.jobs import Job
from stalkd_client.tubes import listed


@dataclass(slots=True)
class Copies:
    """How it went. ``refusal`` is why the target took no more."""

    copied: int = 0
    there: int = 0
    refusal: StalkdError | None = None


def with_bodies(client: Client, found: Iterator[Told]) -> Iterator[list[tuple[Told, Job]]]:
    """Give jobs with their bodies, some at a time; what goes meanwhile is left out."""
    for piece in by_size(found):
        jobs = ask_all(client, [requests.peek(told["id"]) for told in piece])
        told_of = {told["id"]: told for told in piece}
        yield [(told_of[job.id], job) for job in jobs]


def copy(
    source: tuple[Client, str, str],
    landing: Landing,
    states: Sequence[str],
    tell: Callable[[int], None],
    stop: Callable[[], bool],
) -> Copies:
    """Copy the jobs of ``source``: a client, its server's id, and a tube."""
    client, server_id, tube = source
    copies = Copies()
    for state in states:
        for piece in with_bodies(client, listed(client, tube, state)):
            if stop() or copies.refusal is not None:
                return copies
            _copy(piece, landing, f"{COPIED}{server_id}:", copies)
            tell(copies.copied)
    return copies


def _copy(piece: list[tuple[Told, Job]], landing: Landing, prefix: str, copies: Copies) -> None:
    freights = [freight_of(told, landing.tube, job.body) for told, job in piece]
    keys = [f"{prefix}{job.id}" for _, job in piece]
    results = landing.put(freights, keys, hold_ready=False)
    buried = []
    for freight, result in zip(freights, results, strict=True):
        landed = result.id if isinstance(result, ExistsError) else result
        if isinstance(landed, StalkdError):
            copies.refusal = copies.refusal or landed
            continue
        copies.there += isinstance(result, ExistsError)
        copies.copied += not isinstance(result, ExistsError)
        if freight.state == "buried":
            buried.append((landed, freight))
    landing.bury(buried)
