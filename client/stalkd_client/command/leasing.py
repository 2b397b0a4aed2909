"""``stalk reserve``: take a job by hand, look at it, and decide."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

import click

from stalkd_client.client import Client
from stalkd_client.command import bodies, output, records, tables
from stalkd_client.command.exits import EXIT_USAGE, CommandError
from stalkd_client.command.one_job import in_words, raw
from stalkd_client.command.session import Session, connected
from stalkd_client.command.values import DURATION, TUBE
from stalkd_client.documents import Mapping
from stalkd_client.errors import NotFoundError, TimedOutError
from stalkd_client.jobs import Job


def _release(client: Client, job: Job, priority: int) -> str:
    client.release(job, priority=priority)
    return "released: it is ready again"


def _bury(client: Client, job: Job, priority: int) -> str:
    client.bury(job, priority=priority)
    return "buried"


def _ack(client: Client, job: Job, priority: int) -> str:
    del priority
    client.delete(job)
    return "acknowledged: it is deleted"


ENDS: Final[dict[str, Callable[[Client, Job, int], str]]] = {
    "ack": _ack,
    "release": _release,
    "bury": _bury,
}
"""What can become of a job, and what is said then."""


@click.command()
@click.argument("tubes", nargs=-1, required=True, type=TUBE, metavar="TUBE...")
@click.option("--timeout", type=DURATION, default=0.0, help="Wait so long.  [default: not at all]")
@click.option(
    "--then",
    type=click.Choice([*ENDS, "ask"]),
    default="ask",
    show_default=True,
    help="What becomes of it.",
)
@raw
@connected
def reserve(
    session: Session,
    tubes: tuple[str, ...],
    timeout: float,
    then: str,
    raw: bool,
) -> None:
    """Take the next job of the TUBEs, show it, then decide.

    Answer within the job's time to run: after that it goes back by itself. Without an answer, as
    after Ctrl-C, it goes back too.
    """
    if then == "ask" and not sys.stdin.isatty():
        raise CommandError("there is nobody to ask: say --then ack, release or bury", EXIT_USAGE)
    with session.client(watch=tubes[0]) as client:
        for name in tubes[1:]:
            client.watch(name)
        try:
            job = client.reserve(timeout)
        except TimedOutError:
            raise CommandError(f"no job of {', '.join(tubes)} is ready") from None
        told = client.stats_job(job)
        _show(session, told, job, raw=raw)
        output.flush()  # The work is the reader's: it must have the job before it is deleted.
        _end(session, client, job, told, _ask() if then == "ask" else then)


def _ask() -> str:
    return str(click.prompt("What now?", type=click.Choice(list(ENDS)), err=True))


def _show(session: Session, told: Mapping, job: Job, *, raw: bool) -> None:
    if raw:
        output.write_bytes(job.body)
    elif session.as_json:
        output.write_json({**told, **records.body_of(job.body)})
    else:
        tables.show_pairs((key, in_words(key, value)) for key, value in told.items())
        output.write("")
        for line in bodies.pretty(job.body):
            output.write(line)


def _end(session: Session, client: Client, job: Job, told: Mapping, how: str) -> None:
    try:
        said = ENDS[how](client, job, int(str(told["pri"])))
    except NotFoundError:
        raise CommandError(
            f"job {job.id}: its lease had ended before, so it is not yours any more"
        ) from None
    session.note(f"job {job.id} is {said}")
