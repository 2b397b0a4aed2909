"""``stalk mv`` and ``stalk cp``: jobs to another tube, or another server."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import click

from stalkd_client.client import Client
from stalkd_client.command.copying import copy
from stalkd_client.command.exits import (
    EXIT_INTERRUPTED,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
    CommandError,
    explain,
    sentence,
)
from stalkd_client.command.ferry import STATES, Ferry, Tally
from stalkd_client.command.hygiene import LOOK_AGAIN_S
from stalkd_client.command.interrupts import Stop
from stalkd_client.command.landing import Landing
from stalkd_client.command.lifting import Lift
from stalkd_client.command.progress import Progress
from stalkd_client.command.session import Session, client_of, connected, require_stalkd
from stalkd_client.command.tube_stats import count, server_id
from stalkd_client.command.values import TUBE
from stalkd_client.command.whole_tubes import told_of
from stalkd_client.command.wording import jobs
from stalkd_client.errors import ExistsError, LeaseLostError, NotFoundError, StalkdError

STEP: Final = 1_000
"""Jobs moved with one command, where the server does it itself."""

_source_tube = click.argument("source", type=TUBE, metavar="TUBE")
_target_tube = click.argument("target", type=TUBE)
_from_url = click.option(
    "--from", "from_url", metavar="URL", help="The server of TUBE.  [default: that of --url]"
)
_to_url = click.option(
    "--to", "to_url", metavar="URL", help="The server of TARGET.  [default: that of TUBE]"
)
_one_state = click.option("--state", type=click.Choice(STATES), help="Only these.")


@click.command()
@_source_tube
@_target_tube
@_from_url
@_to_url
@_one_state
@click.option("--as-ready", is_flag=True, help="Buried jobs become ready at the target.")
@click.option("--follow", is_flag=True, help="Go on until workers hold no job of TUBE either.")
@connected
def mv(
    session: Session,
    source: str,
    target: str,
    from_url: str | None,
    to_url: str | None,
    state: str | None,
    as_ready: bool,
    follow: bool,
) -> None:
    """Carry jobs of TUBE to TARGET, of another server too.

    Workers may run. This is the way from beanstalkd to stalkd: let producers put there, workers
    watch both, then carry the rest over. Ready, delayed and buried jobs keep their state; ids are
    new. Nothing is lost, whatever dies meanwhile; started again, it goes on where it was. Within
    one stalkd, the server moves ready and delayed jobs itself.
    """
    urls = from_url or session.url, to_url or from_url or session.url
    states: Sequence[str] = STATES if state is None else (state,)
    with (
        client_of(urls[0], use=source, watch=source) as giver,
        client_of(urls[1], use=target) as taker,
    ):
        same = _same_server(giver, taker, source, target)
        lift, landing = Lift(giver, source, target), Landing(taker, target)
        ferry = Ferry(lift, landing, server_id(giver), as_ready)
        with Stop() as stop:
            _ferry_over(ferry, states, stop, same=same, follow=follow)
        _tell_moved(session, ferry.tally, giver, source, target)
    if ferry.tally.refusal is not None:
        raise CommandError(_why(ferry.tally.refusal, target))
    if stop.asked:
        raise CommandError("stopped; started again, it goes on", EXIT_INTERRUPTED)


def _ferry_over(
    ferry: Ferry, states: Sequence[str], stop: Stop, *, same: bool, follow: bool
) -> None:
    """Carry until there is no more to be carried, or nobody wants it any more."""
    giver, source = ferry.lift.client, ferry.lift.tube
    told = told_of(giver, source)
    progress = Progress("carried", sum(count(told, each) for each in states))
    try:
        ferry.finish()
        while True:
            held = _reserved(giver, source)  # Asked first: these may come back meanwhile.
            left = _move(ferry, states, stop) if same and ferry.lift.extended else states
            ferry.carry(left, progress.tell, lambda: stop.asked)
            if stop.asked or ferry.tally.refusal or not (follow and held):
                break
            time.sleep(LOOK_AGAIN_S)
    except (OSError, LeaseLostError) as error:
        raise _broken(error, giver) from error
    finally:
        progress.end()


def _reserved(client: Client, tube: str) -> int:
    try:
        return count(client.stats_tube(tube), "reserved")
    except NotFoundError:
        return 0


def _move(ferry: Ferry, states: Sequence[str], stop: Stop) -> list[str]:
    """Let the server move what it can; return the states of those that must be carried."""
    client, source, target = ferry.lift.client, ferry.lift.tube, ferry.landing.tube
    carried = [each for each in states if each == "buried" and not ferry.as_ready]
    for state in states:
        moved = STEP
        while state not in carried and moved == STEP and not stop.asked:
            try:
                moved = client.move_jobs(source, state, target, STEP)
            except NotFoundError:
                return []
            ferry.tally.carried += moved
    return carried


def _same_server(giver: Client, taker: Client, source: str, target: str) -> bool:
    """Tell whether it is one and the same. Raises CommandError if the tube is, too."""
    same = server_id(giver) == server_id(taker)
    if same and source == target:
        raise CommandError("TUBE and TARGET are one and the same", EXIT_USAGE)
    return same


def _tell_moved(session: Session, tally: Tally, giver: Client, source: str, target: str) -> None:
    left = _reserved(giver, source)
    session.answer(
        f"carried {jobs(tally.carried)} to {target}",
        carried=tally.carried,
        finished=tally.finished,
        doubled=tally.doubled,
        reserved=left,
    )
    if tally.finished:
        session.note(f"let go {jobs(tally.finished)} that an earlier run had left half done")
    if tally.doubled:
        session.note(f"{jobs(tally.doubled)} were begun by a worker of each side")
    if left:
        session.note(f"workers hold {jobs(left)} of {source}: run it again later (--follow waits)")


def _broken(error: OSError | LeaseLostError, giver: Client) -> CommandError:
    text = explain(error, str(giver.address))[1]
    return CommandError(f"{text}; nothing is lost: run it again, and it goes on", EXIT_UNREACHABLE)


def _why(refusal: StalkdError, target: str) -> str:
    if isinstance(refusal, ExistsError):
        return f"{target} has another job with the same key, {refusal.id}; stopped there"
    return f"the target refused a job: {sentence(refusal)}; it stays where it was"


@click.command()
@_source_tube
@_target_tube
@_from_url
@_to_url
@_one_state
@connected
def cp(
    session: Session,
    source: str,
    target: str,
    from_url: str | None,
    to_url: str | None,
    state: str | None,
) -> None:
    """Copy jobs of TUBE to TARGET, of another server too.

    Ready, delayed and buried jobs keep their state. TUBE is only looked at, so its server must be a
    stalkd. Each copy has a key, so that a second run copies none twice as long as the first copy
    lives; beanstalkd knows no keys.
    """
    urls = from_url or session.url, to_url or from_url or session.url
    with client_of(urls[0], use=source) as giver, client_of(urls[1], use=target) as taker:
        _same_server(giver, taker, source, target)
        require_stalkd(giver, "beanstalkd lists no jobs, so they cannot be copied; `stalk mv` can")
        told, landing = told_of(giver, source), Landing(taker, target)
        states = STATES if state is None else (state,)
        progress = Progress("copied", sum(count(told, each) for each in states))
        whence = giver, server_id(giver), source
        with Stop() as stop:
            copies = copy(whence, landing, states, progress.tell, lambda: stop.asked)
        progress.end()
    there = f", {copies.there} were there" if copies.there else ""
    session.answer(
        f"copied {jobs(copies.copied)} to {target}{there}", copied=copies.copied, there=copies.there
    )
    if copies.refusal is not None:
        raise CommandError(_why(copies.refusal, target))
    if stop.asked:
        raise CommandError("stopped; started again, it goes on", EXIT_INTERRUPTED)
