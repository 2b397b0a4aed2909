"""``stalk policy``: what holds for a tube."""

from __future__ import annotations

from typing import Any, Final

import click

from stalkd_client.command import output, tables, times
from stalkd_client.command.exits import EXIT_USAGE, CommandError
from stalkd_client.command.session import Session, connected, require_stalkd
from stalkd_client.command.values import DEAD_TUBE, DURATION, MOST_RATE, NUMBER, TUBE
from stalkd_client.errors import NotFoundError

NOTHING: Final[dict[str, Any]] = {
    "attempts": 0,
    "dead": "",
    "ttl": 0,
    "max_jobs": 0,
    "rate": 0,
    "concurrency": 0,
    "ageing": 0,
}
"""What switches every rule off."""


@click.command()
@click.argument("tube", type=TUBE)
@click.option("--attempts", type=NUMBER, help="Reserves before a job dies; 0: no limit.")
@click.option("--dead", type=DEAD_TUBE, metavar="TUBE", help='Where it goes then; "": buried.')
@click.option("--ttl", type=DURATION, help="Lifetime of new jobs; 0: for ever.")
@click.option("--max-jobs", type=NUMBER, help="Jobs before puts are refused; 0: no limit.")
@click.option("--rate", type=click.FloatRange(0, MOST_RATE), help="Reserves a second; 0: any.")
@click.option("--concurrency", type=NUMBER, help="Jobs reserved at once; 0: any.")
@click.option("--ageing", type=click.FloatRange(0), help="Urgency gained a second; 0: none.")
@click.option("--clear", is_flag=True, help="No rules at all.")
@connected
def policy(session: Session, tube: str, clear: bool, **rules: Any) -> None:
    """Show the rules of TUBE, or change some of them.

    What is not named stays as it is. Needs stalkd.
    """
    given = {key: value for key, value in rules.items() if value is not None}
    if clear and given:
        raise CommandError("--clear goes with no other rule", EXIT_USAGE)
    with session.client() as client:
        require_stalkd(client, "only stalkd has policies")
        if clear or given:
            client.set_policy(tube, **(NOTHING if clear else given))
        try:
            told = dict(client.get_policy(tube))
        except NotFoundError:
            told = {key.replace("_", "-"): value for key, value in NOTHING.items()}
    if session.as_json:
        output.write_json(told)
    else:
        tables.show_pairs((key, _in_words(key, value)) for key, value in told.items())


def _in_words(key: str, value: object) -> str:
    if not value:
        return "-"
    return times.shown(float(str(value))) if key == "ttl" else str(value)
