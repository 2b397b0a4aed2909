"""``stalk purge``, ``release``, ``pause``, ``resume``: what is done to a tube as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import click

from stalkd_client import requests
from stalkd_client.client import Client
from stalkd_client.command import failures, times
from stalkd_client.command.exits import CommandError
from stalkd_client.command.session import (
    Session,
    asks,
    connected,
    knows_extended,
    make_sure,
    require_stalkd,
)
from stalkd_client.command.tube_stats import STATES, ask_all, count
from stalkd_client.command.values import DURATION, TUBE
from stalkd_client.command.wording import jobs
from stalkd_client.documents import Mapping
from stalkd_client.errors import NotFoundError
from stalkd_client.exchange import Request
from stalkd_client.jobs import Job

FIRST: Final[dict[str, Callable[[], Request[Job]]]] = {
    "ready": requests.peek_ready,
    "delayed": requests.peek_delayed,
    "buried": requests.peek_buried,
}
"""How any server shows the first job of a state."""


@click.command()
@click.argument("tube", type=TUBE)
@click.option("--state", type=click.Choice([*STATES, "all"]), default="all", help="Only these.")
@asks
@connected
def purge(session: Session, tube: str, state: str, yes: bool) -> None:
    """Delete all jobs of TUBE for good, or those in a state.

    beanstalkd has no command for it: there, ready, delayed and buried jobs are deleted one by one,
    and those that workers hold stay. What `stalk-worker` has recorded of failures of jobs that are
    gone is deleted, too.
    """
    with session.client(use=tube) as client:
        told = told_of(client, tube)
        states = STATES if state == "all" else (state,)
        found = sum(count(told, each) for each in states)
        if not found:
            raise CommandError(f"no job of {tube} is {'there' if state == 'all' else state}")
        named = "" if state == "all" else state
        make_sure(f"Delete {jobs(found, named)} of {tube} for good?", yes=yes)
        if knows_extended(client):
            purged = client.purge_tube(tube, state)
        else:
            purged = sum(_purge_one_by_one(client, each, count(told, each)) for each in states)
            if count(told, "reserved") and "reserved" in states:
                session.note("jobs that workers hold are not deleted: this server cannot")
        failures.remove_left(client, tube)
    session.answer(f"deleted {jobs(purged)} of {tube}", purged=purged)


def _purge_one_by_one(client: Client, state: str, most: int) -> int:
    """Delete the first job of a state again and again; no more than there were at first."""
    purged = 0
    for _ in range(most if state in FIRST else 0):
        first = ask_all(client, [FIRST[state]()])
        if not first:
            break
        purged += len(ask_all(client, [requests.delete(first[0].id)]))
    return purged


@click.command()
@click.argument("tube", type=TUBE)
@asks
@connected
def release(session: Session, tube: str, yes: bool) -> None:
    """Take back all jobs of TUBE that workers hold.

    They become ready at once. For workers that hang: those that do not, lose their jobs too, and
    the work is done twice.
    """
    with session.client() as client:
        require_stalkd(client, "beanstalkd cannot end leases: stop the worker, or wait for its TTR")
        found = count(told_of(client, tube), "reserved")
        if not found:
            raise CommandError(f"nobody holds a job of {tube}")
        make_sure(f"Take {jobs(found)} of {tube} from their workers?", yes=yes)
        released = client.release_tube(tube)
    session.answer(f"released {jobs(released)} of {tube}", released=released)


@click.command()
@click.argument("tube", type=TUBE)
@click.argument("time", type=DURATION)
@connected
def pause(session: Session, tube: str, time: float) -> None:
    """Let nobody reserve from TUBE for a TIME, as 5m.

    All else goes on: puts, kicks, and the leases that there are.
    """
    with session.client() as client:
        _pause(client, tube, time)
    session.answer(f"{tube} is paused for {times.shown(time)}", tube=tube, pause=time)


@click.command()
@click.argument("tube", type=TUBE)
@connected
def resume(session: Session, tube: str) -> None:
    """End the pause of TUBE."""
    with session.client() as client:
        _pause(client, tube, 0)
    session.answer(f"{tube} goes on", tube=tube, pause=0)


def _pause(client: Client, tube: str, seconds: float) -> None:
    try:
        client.pause_tube(tube, seconds)
    except NotFoundError:
        raise CommandError(f"there is no tube {tube}") from None


def told_of(client: Client, tube: str) -> Mapping:
    """Return the numbers of a tube. Raises CommandError if there is none."""
    try:
        return client.stats_tube(tube)
    except NotFoundError:
        raise CommandError(f"there is no tube {tube}") from None
