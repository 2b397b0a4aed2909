"""``stalk kick``, ``stalk bury``, ``stalk rm``: what can be done to single jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

from stalkd_client import requests
from stalkd_client.client import Client
from stalkd_client.command import failures
from stalkd_client.command.exits import EXIT_USAGE, CommandError
from stalkd_client.command.landing import bury_all
from stalkd_client.command.session import Session, asks, connected, make_sure
from stalkd_client.command.tube_stats import AT_ONCE, ask_all, count
from stalkd_client.command.values import COUNT, ID, TUBE
from stalkd_client.command.wording import jobs
from stalkd_client.errors import NotFoundError, StalkdError
from stalkd_client.exchange import Request
from stalkd_client.pieces import pieces

STEP: Final = 1_000
"""Jobs kicked with one command: nobody else waits long for it."""

_ids = click.argument("job_ids", nargs=-1, required=True, type=ID, metavar="ID...")


@click.command()
@click.argument("tube", type=TUBE, required=False)
@click.argument("number", type=COUNT, required=False)
@click.option("--all", "everything", is_flag=True, help="As many as there are.")
@click.option("--job", "job_ids", multiple=True, type=ID, metavar="ID", help="This one job.")
@click.option("--delayed", is_flag=True, help="Delayed jobs instead of buried ones.")
@connected
def kick(
    session: Session,
    tube: str | None,
    number: int | None,
    everything: bool,
    job_ids: tuple[int, ...],
    delayed: bool,
) -> None:
    """Make buried jobs of TUBE ready: NUMBER of them, or 1.

    Those buried longest come first. Or all of them (--all), or certain jobs, buried or delayed
    (--job ID, which may be repeated).
    """
    if (
        bool(job_ids) == bool(tube)
        or (everything and number)
        or (job_ids and (everything or delayed))
    ):
        raise CommandError("say either TUBE [NUMBER], or TUBE --all, or --job ID", EXIT_USAGE)
    if tube is None:
        _each(session, requests.kick_job, job_ids, "kicked", "is neither buried nor delayed")
        return
    state = "delayed" if delayed else "buried"
    with session.client(use=tube) as client:
        most = _there(client, tube, state)
        wanted = most if everything else min(number or 1, most)
        kicked = KICKS[state](client, wanted)
    session.answer(f"kicked {jobs(kicked)} of {tube}", kicked=kicked, left=max(0, most - kicked))


def _there(client: Client, tube: str, state: str) -> int:
    """Return how many jobs there are in a state. Raises CommandError if there are none."""
    try:
        told = client.stats_tube(tube)
    except NotFoundError:
        raise CommandError(f"there is no tube {tube}") from None
    if found := count(told, state):
        return found
    hint = ""
    if state == "buried" and count(told, "delayed"):
        hint = f" ({count(told, 'delayed')} delayed: --delayed)"
    raise CommandError(f"no job of {tube} is {state}{hint}")


def _kick_buried(client: Client, wanted: int) -> int:
    """Kick in steps, each only while jobs are buried: kick would take delayed ones else."""
    kicked = 0
    while kicked < wanted and ask_all(client, [requests.peek_buried()]):
        kicked += client.kick(min(STEP, wanted - kicked))
    return kicked


def _kick_delayed(client: Client, wanted: int) -> int:
    """Kick one after the other: a plain kick would take the buried ones first."""
    kicked = 0
    while kicked < wanted:
        first = ask_all(client, [requests.peek_delayed()])
        if not first:
            break
        kicked += len(ask_all(client, [requests.kick_job(first[0])]))
    return kicked


KICKS: Final[dict[str, Callable[[Client, int], int]]] = {
    "buried": _kick_buried,
    "delayed": _kick_delayed,
}


@click.command()
@_ids
@connected
def bury(session: Session, job_ids: tuple[int, ...]) -> None:
    """Put jobs aside, ready or delayed ones, until they are kicked.

    To do so they are reserved for a moment, which counts as an attempt.
    """
    with session.client() as client:
        done: dict[int, Any] = {}
        for piece in pieces(dict.fromkeys(job_ids), AT_ONCE):
            told = ask_all(client, [requests.stats_job(each) for each in piece])
            priorities = {int(str(each["id"])): int(str(each["pri"])) for each in told}
            done |= {each: None for each, was in bury_all(client, priorities).items() if was}
    _tell(session, job_ids, done, "buried", "is not there, or somebody holds it")


@click.command()
@_ids
@asks
@connected
def rm(session: Session, job_ids: tuple[int, ...], yes: bool) -> None:
    """Delete jobs for good; not those that a worker holds.

    What `stalk-worker` has recorded of their failures is deleted, too.
    """
    make_sure(f"Delete {jobs(len(job_ids))} for good?", yes=yes)
    why_not = "is not there, or a worker holds it"
    _each(session, requests.delete, job_ids, "deleted", why_not, failures.remove)


def _each(
    session: Session,
    ask: Callable[[int], Request[None]],
    job_ids: tuple[int, ...],
    did: str,
    why_not: str,
    after: Callable[[Client, list[int]], None] | None = None,
) -> None:
    """Do a command to each job, then what is done after it with those that it was done to."""
    done: dict[int, Any] = {}
    with session.client() as client:
        for piece in pieces(dict.fromkeys(job_ids), AT_ONCE):
            results = client.execute_all([ask(each) for each in piece])
            done.update(zip(piece, results, strict=True))
            if after is not None:
                after(client, [each for each in piece if done[each] is None])
    _tell(session, job_ids, done, did, why_not)


def _tell(
    session: Session, job_ids: tuple[int, ...], done: dict[int, Any], did: str, why_not: str
) -> None:
    """Say what was done; raise CommandError if some of it was not."""
    good = [each for each in dict.fromkeys(job_ids) if done.get(each, True) is None]
    bad = [each for each in dict.fromkeys(job_ids) if each not in good]
    for each in bad:
        if isinstance(done.get(each), StalkdError) and not isinstance(done[each], NotFoundError):
            raise done[each]
    if good or session.as_json:
        session.answer(f"{did} {jobs(len(good))}", **{did: good, "refused": bad})
    if bad:
        names = ", ".join(map(str, bad))
        raise CommandError(
            f"job {names} {why_not}" if len(bad) == 1 else f"jobs {names}: each {why_not}"
        )
