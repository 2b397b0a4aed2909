"""``stalk jobs``: the jobs of a tube."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import click

from stalkd_client import requests
from stalkd_client.client import Client
from stalkd_client.command import bodies, output, tables, times
from stalkd_client.command.exits import CommandError
from stalkd_client.command.session import Session, connected, knows_extended
from stalkd_client.command.tube_stats import AT_ONCE, STATES, ask_all
from stalkd_client.command.values import AFTER, COUNT, TUBE
from stalkd_client.pieces import pieces
from stalkd_client.tubes import listed

DEFAULT_LIMIT: Final = 50
"""Jobs shown if nobody says how many: a screen or two."""

PIECE_BYTES: Final = 4 * 1024 * 1024
"""Bytes of bodies that are fetched together, but for one large body."""

HEADS: Final = (
    *(">ID", "STATE", ">PRI", ">AGE", ">LEFT", ">RESERVED", ">BYTES", "KEY", "DIED", "BODY"),
)

Told = dict[str, Any]


@click.command()
@click.argument("tube", type=TUBE)
@click.option("--state", type=click.Choice([*STATES, "all"]), default="all", help="Only these.")
@click.option("--limit", type=COUNT, help=f"So many at most.  [default: {DEFAULT_LIMIT}]")
@click.option("--all", "everything", is_flag=True, help="As many as there are.")
@click.option("--after", type=AFTER, default=0, metavar="ID", help="Only larger ids.")
@connected
def jobs(
    session: Session,
    tube: str,
    state: str,
    limit: int | None,
    everything: bool,
    after: int,
) -> None:
    """List jobs of TUBE by id.

    LEFT is the time until the lease or the delay ends, RESERVED how often the job was reserved,
    DIED how its last attempt ended. beanstalkd lists no jobs: of one, the first job of each state
    is shown.
    """
    with session.client(use=tube) as client:
        found = listed(client, tube, state, after)
        if not knows_extended(client):
            session.note("this server lists no jobs: shown is the first of each state")
            found = first_ones(client, state)
        most = None if everything else limit or DEFAULT_LIMIT
        shown = _write(session, client, islice(found, most))
        if not shown:
            raise CommandError(f"no job of {tube} is {state if state != 'all' else 'there'}")
        if next(found, None) is not None and limit is None:
            session.note(f"there are more: --after {shown}, or --all")


def by_size(found: Iterator[Told]) -> Iterator[list[Told]]:
    """Give jobs in lists whose bodies can be held in memory."""
    return pieces(found, AT_ONCE, lambda told: int(told["bytes"]), PIECE_BYTES)


def first_ones(client: Client, state: str) -> Iterator[Told]:
    """Give the first job of each state that any server shows, of the tube in use."""
    looks = {
        "ready": requests.peek_ready,
        "delayed": requests.peek_delayed,
        "buried": requests.peek_buried,
    }
    for name in looks if state == "all" else {state} & set(looks):
        for job in ask_all(client, [looks[name]()]):
            for told in ask_all(client, [requests.stats_job(job)]):
                yield {**told, "bytes": len(job.body)}


def _write(session: Session, client: Client, found: Iterator[Told]) -> int:
    """Write the jobs; return the id of the last one."""
    last = 0
    if session.as_json:
        for told in found:
            output.write_json(told)
            last = told["id"]
        return last
    rows = []
    for piece in by_size(found):
        texts = _bodies(client, piece)
        rows += [row(told, texts.get(told["id"], b"")) for told in piece]
        last = piece[-1]["id"]
    if rows:
        tables.show(HEADS, rows)
    return last


def _bodies(client: Client, piece: Any) -> dict[int, bytes]:
    asked = [requests.peek(told["id"]) for told in piece]
    return {job.id: job.body for job in ask_all(client, asked)}


def row(told: Told, body: bytes) -> list[str]:
    """Return what is shown of a job."""
    left = float(told.get("time-left", 0))
    return [
        str(told["id"]),
        str(told["state"]),
        str(told["pri"]),
        times.shown(float(told["age"])),
        times.shown(left) if left else "-",
        str(told["reserves"]),
        str(told["bytes"]),
        bodies.safe(str(told.get("key", "-"))),
        str(told.get("died-because", "-")),
        bodies.excerpt(body),
    ]
