"""``stalk ls``: the tubes, and how much there is in them."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Final

import click

from stalkd_client.command import baseline, output, tables, times
from stalkd_client.command.exits import CommandError
from stalkd_client.command.session import Session, connected
from stalkd_client.command.tube_stats import STATES, all_tubes, count, number
from stalkd_client.documents import Mapping
from stalkd_client.owntubes import is_record, is_reply
from stalkd_client.reports import is_of_workers

HEADS: Final = (
    "TUBE",
    *(">READY", ">RESERVED", ">DELAYED", ">BURIED"),
    *(">OLDEST", ">PUT", ">DELETED", ">WATCHED", ">WAITING", ">PAUSED"),
)


def _most(state: str, told: Mapping) -> int:
    return -count(told, state)


SORTS: Final[dict[str, Callable[[Mapping], Any]]] = {
    "name": lambda told: str(told["name"]),
    **{state: partial(_most, state) for state in STATES},
    "age": lambda told: -number(told, "oldest-ready-age"),
}


@click.command()
@click.argument("pattern", default="*", type=click.UNPROCESSED)
@click.option("--sort", type=click.Choice(list(SORTS)), default="name", help="What comes first.")
@connected
def ls(session: Session, pattern: str, sort: str) -> None:
    """List tubes: how many jobs are where, and how old.

    PATTERN is a name, or several in the way of shells: 'mail*'. OLDEST is the age of the oldest
    ready job, PUT and DELETED count since `stalk rezero`, else since the tube was made; WATCHED by
    so many workers, of which so many are WAITING for a job. beanstalkd does not tell ages.
    """
    with session.client() as client:
        found = [told for told in all_tubes(client) if fnmatchcase(str(told["name"]), pattern)]
        zeros = baseline.load(str(client.address))
    if not found:
        raise CommandError(f"no tube is called {pattern!r}")
    found.sort(key=SORTS[sort])
    for told in found:
        told.update(zeros.since(told))
    if session.as_json:
        for told in found:
            output.write_json(told)
        return
    hidden = [] if pattern != "*" else _hidden([str(told["name"]) for told in found])
    names = {name for _, names in hidden for name in names}
    tables.show(HEADS, [row(told) for told in found if told["name"] not in names])
    for reason, names in hidden:
        if names:
            output.note(f"not shown, {reason.format(len(names))}")


def _hidden(names: list[str]) -> list[tuple[str, set[str]]]:
    """Return tubes that are only counted, with the sentences that do it."""
    return [(reason, {each for each in names if is_so(each)}) for reason, is_so in HIDDEN.items()]


HIDDEN: Final[dict[str, Callable[[str], bool]]] = {
    "with what failed: {} of 'error.*' (stalk show ID)": is_record,
    "with replies of tasks: {} of 'reply.*'": is_reply,
    "of workers: {} of 'stalkd.worker*' (stalk workers)": is_of_workers,
}
"""Tubes that would only be in the way, unless a pattern asks for them."""


def row(told: Mapping) -> list[str]:
    """Return what is shown of a tube."""
    oldest, paused = told.get("oldest-ready-age"), number(told, "pause-time-left")
    return [
        str(told["name"]),
        *[str(count(told, state)) for state in STATES],
        "-" if oldest is None or not count(told, "ready") else times.shown(int(str(oldest))),
        str(number(told, "inserted")),
        str(number(told, "completed")),
        str(number(told, "current-watching")),
        str(number(told, "current-waiting")),
        times.shown(paused) if paused else "-",
    ]
