"""``stalk top``: the tubes, live."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Final

import click

from stalkd_client.client import Client
from stalkd_client.command import output
from stalkd_client.command.exits import EXIT_USAGE, CommandError
from stalkd_client.command.rates import SORTS, Sample, compare, sort
from stalkd_client.command.session import Session, connected
from stalkd_client.command.tube_stats import all_tubes
from stalkd_client.command.values import DURATION

DEFAULT_INTERVAL_S: Final = 1.0
"""Between two looks: what eyes follow, and a server does not feel."""

PATIENCE_S: Final = 3.0
"""How long the screen may stand still when the server hangs, before it says so."""

SCREEN: Final = ("textual", "rich")
"""What the extra brings: without it, either may be the first that is missed."""

LEAST_INTERVAL_S: Final = 0.1
"""A look at ten thousand tubes takes a server some milliseconds."""


@click.command()
@click.option(
    "--interval",
    type=DURATION,
    default=DEFAULT_INTERVAL_S,
    help="Between two looks.  [default: 1s]",
)
@click.option(
    "--sort",
    "order",
    type=click.Choice(list(SORTS)),
    default="ready",
    show_default=True,
    help="What comes first.",
)
@connected
def top(session: Session, interval: float, order: str) -> None:
    """Watch the tubes live, with rates, on a full screen.

    Keys: s sorts by the next column, p stops and goes on, q or Ctrl-C leaves. With --json, looks
    twice and writes one line for each tube. The screen needs textual: pip install 'stalkd[top]'.
    """
    interval = max(interval, LEAST_INTERVAL_S)
    with session.client(patience=PATIENCE_S) as client:
        if session.as_json:
            before = sample(client)
            time.sleep(interval)
            for line in sort(compare(before, sample(client)), order):
                output.write_json(asdict(line))
            return
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise CommandError("this needs a terminal; --json does not", EXIT_USAGE)
        _screen()(client, interval, order)


def sample(client: Client) -> Sample:
    """Look at all tubes."""
    return Sample.of(time.monotonic(), all_tubes(client))


def _screen() -> Callable[[Client, float, str], None]:
    """Return what shows the screen; textual is an extra."""
    try:
        from stalkd_client.command.screen import run  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in SCREEN:
            raise
        raise CommandError("the screen needs textual: pip install 'stalkd[top]'") from None
    return run
