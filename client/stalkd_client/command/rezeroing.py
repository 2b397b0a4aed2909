"""``stalk rezero``: count what goes in and out from now on."""

from __future__ import annotations

import click

from stalkd_client.command import baseline
from stalkd_client.command.exits import CommandError
from stalkd_client.command.session import Session, connected
from stalkd_client.command.tube_stats import all_tubes
from stalkd_client.command.values import TUBE


@click.command()
@click.argument("tubes", nargs=-1, type=TUBE, metavar="[TUBE]...")
@click.option("--undo", is_flag=True, help="Count from the beginning of the tubes again.")
@connected
def rezero(session: Session, tubes: tuple[str, ...], undo: bool) -> None:
    """Count PUT and DELETED of `stalk ls` from now on.

    Of all tubes, or of these. Nothing changes on the server, and for nobody else: the numbers are
    kept in $XDG_STATE_HOME/stalkd/rezero.json, else in ~/.local/state.
    """
    with session.client() as client:
        told = [each for each in all_tubes(client) if not tubes or each["name"] in tubes]
        zeros = baseline.load(str(client.address))
    if missing := set(tubes) - {str(each["name"]) for each in told} - set(zeros.totals):
        raise CommandError(f"there is no tube {', '.join(sorted(missing))}")
    if undo:
        zeros.drop(tubes or list(zeros.totals))
    else:
        zeros.take(told)
    baseline.save(zeros)
    names = sorted(set(tubes) or {str(each["name"]) for each in told})
    done = "from the beginning" if undo else "from now on"
    session.answer(f"{len(names)} tubes count {done}", tubes=names, undone=undo)
