"""``stalk show`` and ``stalk peek``: all about one job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from stalkd_client.client import Client
from stalkd_client.command import bodies, failures, output, records, tables, times
from stalkd_client.command.exits import CommandError
from stalkd_client.command.session import Session, connected, knows_extended
from stalkd_client.command.values import ID, TUBE
from stalkd_client.errors import NotFoundError
from stalkd_client.jobs import Job
from stalkd_client.owntubes import record_tube

LOOKS: Final[dict[str, Callable[[Client], Job]]] = {
    "ready": lambda client: client.peek_ready(),
    "delayed": lambda client: client.peek_delayed(),
    "buried": lambda client: client.peek_buried(),
}

DURATIONS: Final = frozenset(
    {
        *("age", "delay", "ttr", "time-left", "expires-in", "died"),
        *("held-for", "buried-for", "paused-for", "rate-allows-in"),
    }
)
"""Keys whose values are seconds."""

Command = TypeVar("Command", bound=Callable[..., Any])


def raw(command: Command) -> Command:
    """Give a subcommand the option --raw."""
    return click.option("--raw", is_flag=True, help="Write the body alone, byte for byte.")(command)


@click.command()
@click.argument("job_id", type=ID, metavar="ID")
@raw
@connected
def show(session: Session, job_id: int, raw: bool) -> None:
    """Show the job ID: its numbers, its body, why it waits.

    If `stalk-worker` has put it aside, also the exception and its traceback; these are shown as
    long as they are kept, even if the job is gone. beanstalkd tells fewer numbers, and not why.
    """
    with session.client() as client:
        try:
            job = client.peek(job_id)
        except NotFoundError:
            if raw or not _show_left(session, client, job_id):
                raise CommandError(f"there is no job {job_id}") from None
            return
        write_job(session, client, job, raw=raw)


def _show_left(session: Session, client: Client, job_id: int) -> bool:
    """Write why a job was put aside that is gone; return False if nothing is left of it."""
    failure = failures.left_of(client, job_id)
    if failure is None:
        return False
    session.note(
        f"there is no job {job_id} any more, only the record of its failure:"
        f" `stalk purge {record_tube(job_id)}` deletes that"
    )
    if session.as_json:
        output.write_json({"id": job_id, "error": failure})
    else:
        failures.write(failure)
    return True


@click.command()
@click.argument("tube", type=TUBE)
@click.option("--state", type=click.Choice(list(LOOKS)), default="ready", help="In which state.")
@raw
@connected
def peek(session: Session, tube: str, state: str, raw: bool) -> None:
    """Show the next job of TUBE without taking it.

    That is the one to be reserved next, or to become ready next; of buried jobs, it is the one that
    a kick would make ready first.
    """
    with session.client(use=tube) as client:
        try:
            job = LOOKS[state](client)
        except NotFoundError:
            raise CommandError(f"no job of {tube} is {state}") from None
        write_job(session, client, job, raw=raw)


def write_job(session: Session, client: Client, job: Job, *, raw: bool) -> None:
    """Write all about a job."""
    if raw:
        output.write_bytes(job.body)
        return
    told, reasons = about(client, job)
    failure = failures.record_of(client, job.id, str(told["tube"]))
    if session.as_json:
        error = {} if failure is None else {"error": failure}
        output.write_json({**told, "reasons": reasons, **records.body_of(job.body), **error})
        return
    tables.show_pairs((key, in_words(key, value)) for key, value in told.items())
    for reason in reasons:
        output.write(f"· {reason}")
    output.write("")
    for line in bodies.pretty(job.body):
        output.write(line)
    if failure is not None:
        failures.write(failure)


def about(client: Client, job: Job) -> tuple[dict[str, Any], list[str]]:
    """Return what the server tells of a job, and why it does not run."""
    try:
        if knows_extended(client):
            told, reasons = client.explain_job(job.id)
            return dict(told), reasons
        return {**client.stats_job(job.id), "bytes": len(job.body)}, []
    except NotFoundError:
        raise CommandError(f"job {job.id} has just gone") from None


def in_words(key: str, value: object) -> str:
    """Return a value for people."""
    if key in DURATIONS and isinstance(value, (int, float)):
        return times.shown(value)
    return bodies.safe(str(value))
