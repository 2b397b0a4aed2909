"""``stalk move``: dead and buried jobs get another chance, as fast as the workers can bear."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import click

from stalkd_client.client import Client
from stalkd_client.command.exits import EXIT_INTERRUPTED, EXIT_USAGE, CommandError
from stalkd_client.command.interrupts import Stop
from stalkd_client.command.progress import Progress
from stalkd_client.command.session import Session, connected, require_stalkd
from stalkd_client.command.tube_stats import count
from stalkd_client.command.values import COUNT, RATE, TUBE
from stalkd_client.command.whole_tubes import told_of
from stalkd_client.command.wording import jobs

MOVABLE: Final = ("ready", "buried", "delayed")
"""States of jobs that can be moved; others are held by a worker."""

STEP: Final = 1_000
"""Jobs moved with one command: Ctrl-C comes through soon."""

STEPS_PER_S: Final = 10
"""With a rate: so many small steps each second, rather than one large one."""


@click.command()
@click.argument("source", type=TUBE, metavar="TUBE")
@click.argument("target", type=TUBE)
@click.argument("number", type=COUNT, required=False)
@click.option("--state", type=click.Choice(MOVABLE), help="Only these.")
@click.option("--rate", type=RATE, help="So many, as 10/s or 90/m.  [default: all at once]")
@connected
def move(
    session: Session,
    source: str,
    target: str,
    number: int | None,
    state: str | None,
    rate: float | None,
) -> None:
    """Give dead or buried jobs of TUBE a new life in TARGET.

    There they are ready, with all their attempts, and have no key; only delayed jobs stay delayed.
    The server does it, and keeps their ids, priorities and ages. Needs stalkd. Moves those that are
    there now, NUMBER at most. Ctrl-C stops it between two jobs.
    """
    with session.client() as client:
        require_stalkd(client, "only stalkd moves jobs itself; `stalk mv` carries them")
        told = told_of(client, source)
        states = (
            [state] if state else [each for each in MOVABLE if source != target or each == "buried"]
        )
        there = {each: count(told, each) for each in states}
        most = min(number or sum(there.values()), sum(there.values()))
        if source == target and states != ["buried"]:
            raise CommandError("within one tube, only buried jobs can be moved", EXIT_USAGE)
        if not most:
            raise CommandError(f"no job of {source} is {' or '.join(states)}")
        with Stop() as stop:
            moved = _move(client, (source, target), there, most, _pace(rate, stop))
    session.answer(f"moved {moved} of {jobs(most)} to {target}", moved=moved, of=most)
    if stop.asked:
        raise CommandError("stopped; the other jobs are where they were", EXIT_INTERRUPTED)


def _pace(rate: float | None, stop: Stop) -> Callable[[], int]:
    """Return what says how many may be moved now; it waits until that is one at least, 0: stop."""
    if rate is None:
        return lambda: 0 if stop.asked else STEP
    begun, given = time.monotonic(), 0

    def next_step() -> int:
        nonlocal given
        size = max(1, int(rate / STEPS_PER_S))
        stop.sleep(begun + given / rate - time.monotonic())
        given += size
        return 0 if stop.asked else min(size, STEP)

    return next_step


def _move(
    client: Client, way: tuple[str, str], there: dict[str, int], most: int, pace: Callable[[], int]
) -> int:
    """Move so many jobs, one state after the other; return how many."""
    progress, moved = Progress("moved", most), 0
    for state, found in there.items():
        left = min(found, most - moved)
        while left > 0 and (step := min(pace(), left)):
            done = client.move_jobs(way[0], state, way[1], step)
            moved, left = moved + done, left - done
            progress.tell(moved)
            if done < step:  # Workers were faster, or kicks.
                break
    progress.end()
    return moved
