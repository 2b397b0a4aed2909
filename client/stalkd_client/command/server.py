"""``stalk stats`` and ``stalk clients``: the server and its connections."""

from __future__ import annotations

from typing import Final

import click

from stalkd_client.command import bodies, output, tables, times
from stalkd_client.command.exits import CommandError
from stalkd_client.command.session import Session, connected, require_stalkd
from stalkd_client.command.values import TUBE
from stalkd_client.documents import Mapping
from stalkd_client.errors import NotFoundError

DURATIONS: Final = frozenset({"uptime", "pause", "pause-time-left"})
"""Keys whose values are seconds."""

HEADS: Final = (">CLIENT", "ADDRESS", "ROLE", "USES", ">HOLDS", "WAITS FOR", "WATCHES")


@click.command()
@click.argument("tube", type=TUBE, required=False)
@connected
def stats(session: Session, tube: str | None) -> None:
    """Show the numbers of the server, or of TUBE."""
    with session.client() as client:
        try:
            told = client.stats() if tube is None else client.stats_tube(tube)
        except NotFoundError:
            raise CommandError(f"there is no tube {tube}") from None
    if session.as_json:
        output.write_json(told)
        return
    tables.show_pairs((key, _in_words(key, value)) for key, value in told.items())


def _in_words(key: str, value: object) -> str:
    if key in DURATIONS and isinstance(value, int):
        return times.shown(value)
    return bodies.safe(str(value).lower() if isinstance(value, bool) else str(value))


@click.command()
@connected
def clients(session: Session) -> None:
    """List connections: who waits for what, and holds jobs.

    Needs stalkd; of beanstalkd, `stalk stats` tells how many there are.
    """
    with session.client() as client:
        require_stalkd(client, "only stalkd lists its connections; `stalk stats` counts them")
        found = client.list_clients()
    if session.as_json:
        for told in found:
            output.write_json(told)
        return
    tables.show(HEADS, [_row(told) for told in found])


def _row(told: Mapping) -> list[str]:
    watches = told["watches"]
    names = ", ".join(map(str, watches)) if isinstance(watches, list) else str(watches)
    roles = [role for role in ("producer", "worker") if told[role]]
    return [
        str(told["client"]),
        bodies.safe(str(told["address"])),
        "+".join(roles) or "-",
        str(told["uses"]),
        str(told["holds"]),
        bodies.safe(str(told["waits-for"])) or "-",
        names,
    ]
