"""``stalk ping``, ``wait-empty``, ``drain``: what scripts and supervisors ask for."""

from __future__ import annotations

import time
from typing import Any, Final

import click

from stalkd_client.client import Client
from stalkd_client.command.exits import EXIT_UNREACHABLE, EXIT_UNWELL, CommandError
from stalkd_client.command.session import Session, connected, knows_extended
from stalkd_client.command.tube_stats import count
from stalkd_client.command.values import DURATION, TUBE
from stalkd_client.documents import Mapping
from stalkd_client.errors import NotFoundError

LOOK_AGAIN_S: Final = 0.25
"""How often a tube is looked at that is to become empty."""

PING_S: Final = 5.0
"""How long a healthy server may take to answer: a hundred times what a busy one takes."""

LEAST_PING_S: Final = 0.001
"""No time at all would be over before the answer is looked for."""

AT_WORK: Final = ("ready", "reserved", "delayed")
"""States of jobs that somebody is still going to do."""

ILLS: Final = {
    "failed": "it cannot write its log any more: what is done now is forgotten with its next start",
    "full": "the disk of its log is full: it refuses puts",
    "stalled": "the disk of its log is full: it runs no command",
}
"""States of the log (``binlog-state``) that somebody must do something about."""


@click.command()
@click.option(
    "--timeout", type=DURATION, default=PING_S, help="Wait so long at most.  [default: 5s]"
)
@connected
def ping(session: Session, timeout: float) -> None:
    """Tell whether the server is well, by the exit code.

    That is 0 if it is, 3 if it does not answer, 4 if it is ill. It is ill when its log cannot be
    written any more, or the disk is full.
    """
    limit = max(timeout, LEAST_PING_S)
    with session.client(connect_timeout=limit, patience=limit) as client:
        told, took = _ask(client, limit)
    state = str(told.get("binlog-state", "ok"))
    values: dict[str, Any] = {
        "address": str(client.address),
        "seconds": round(took, 6),
        "version": told.get("server", f"beanstalkd {told.get('version')}"),
        "binlog-state": state,
        "draining": told.get("draining", False),
    }
    draining = ", draining" if values["draining"] is True else ""
    session.answer(
        f"{values['version']} at {client.address} answered in {took * 1000:.1f} ms{draining}",
        **values,
    )
    if state in ILLS:
        raise CommandError(f"the server is ill: {ILLS[state]}", EXIT_UNWELL)


def _ask(client: Client, timeout: float) -> tuple[Mapping, float]:
    """Return what the server tells, and the time of a round trip on a connection that is made."""
    try:
        client.list_tube_used()
        begun = time.monotonic()
        client.list_tube_used()
        took = time.monotonic() - begun
        return client.stats(), took
    except TimeoutError:
        raise CommandError(
            f"{client.address} gave no answer in {timeout:g} s: the server hangs, is very busy,"
            " or the disk of its log is stalled",
            EXIT_UNREACHABLE,
        ) from None


@click.command("wait-empty")
@click.argument("tube", type=TUBE)
@click.option("--timeout", type=DURATION, help="Give up after this.  [default: never]")
@click.option("--buried", is_flag=True, help="Wait until no job is buried either.")
@connected
def wait_empty(session: Session, tube: str, timeout: float | None, buried: bool) -> None:
    """Wait until all jobs of TUBE are done.

    So none is ready, reserved or delayed any more. Exits with 1 if the time is up before.
    """
    states = (*AT_WORK, "buried") if buried else AT_WORK
    ends = None if timeout is None else time.monotonic() + timeout
    with session.client() as client:
        while left := _left(client, tube, states):
            if ends is not None and time.monotonic() >= ends:
                raise CommandError(f"{tube} still has {left} jobs")
            time.sleep(LOOK_AGAIN_S)
    session.answer(f"{tube} is empty", tube=tube, empty=True)


def _left(client: Client, tube: str, states: tuple[str, ...]) -> int:
    try:
        told = client.stats_tube(tube)
    except NotFoundError:
        return 0
    return sum(count(told, state) for state in states)


@click.command()
@click.option("--off", is_flag=True, help="Take jobs again.")
@click.option("--wait", is_flag=True, help="Then wait until all jobs of all tubes are done.")
@click.option("--timeout", type=DURATION, help="Wait so long at most.  [default: for ever]")
@connected
def drain(session: Session, off: bool, wait: bool, timeout: float | None) -> None:
    """Let the server take no more jobs, or (--off) take them again.

    Every put is refused then; all else works as ever, so that workers can empty the queues.
    beanstalkd drains by a signal, which this tells.
    """
    with session.client() as client:
        if not knows_extended(client):
            pid = client.stats().get("pid", "PID")
            raise CommandError(
                f"beanstalkd drains by a signal: `kill -USR1 {pid}` on its machine", 5
            )
        draining = client.drain(on=not off)
        if off and draining:
            raise CommandError("it drains until it is started again: its log cannot be written")
        if wait and not off:
            _wait_for_all(client, timeout)
    word = "takes no more jobs" if draining else "takes jobs"
    session.answer(f"the server {word}", draining=draining)


def _wait_for_all(client: Client, timeout: float | None) -> None:
    ends = None if timeout is None else time.monotonic() + timeout
    while left := sum(count(client.stats(), state) for state in AT_WORK):
        if ends is not None and time.monotonic() >= ends:
            raise CommandError(f"there are still {left} jobs; the server goes on draining")
        time.sleep(LOOK_AGAIN_S)
