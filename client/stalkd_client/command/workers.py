"""``stalk workers``: who works here, and telling them to be quiet, go on, reload, or stop."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any, Final, cast

import click
from click.shell_completion import CompletionItem

from stalkd_client.arguments import check_tube
from stalkd_client.command import output, tables, times
from stalkd_client.command.complete import tube_names
from stalkd_client.command.exits import EXIT_USAGE, CommandError
from stalkd_client.command.session import Session, connected
from stalkd_client.command.values import DURATION
from stalkd_client.command.worker_orders import Result, order
from stalkd_client.command.worker_reports import Worker, all_workers, matching, sensible
from stalkd_client.reports import COMMANDS, CONTROL, MOST_NAME, Command, control_of

DEFAULT_TIMEOUT_S: Final = 10.0
"""How long workers are waited for if nobody says: a stop has to wait for their jobs."""

HEADS: Final = (
    *("NAME", "HOST", ">PID", "STATE"),
    *(">BUSY", ">DONE", ">FAILED", ">MEMORY", ">SINCE", "QUEUES"),
)

JOB_HEADS: Final = ("WORKER", ">ID", ">ATTEMPT", ">SINCE", "QUEUE")

DID: Final[dict[Command, str]] = {
    "quiet": "quiet",
    "resume": "resumed",
    "reload": "reloaded",
    "stop": "stopped",
}
"""What there is to say of workers that have done as they were told."""

UNITS: Final = (("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10))

_NAME: Final = re.compile(r"[]!*?[A-Za-z0-9+/;.$_()-]+")


class Word(click.ParamType[str]):
    """What to do, or the name of a worker, or a pattern of names."""

    name = "name"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Return the word."""
        if _NAME.fullmatch(value) is None or len(value) > MOST_NAME:
            self.fail(f"{value!r} is no name of a worker, and no pattern of names", param, ctx)
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return what there is to do, then the workers that there are."""
        del param
        words = [] if ctx.params.get("words") else [*COMMANDS]
        names = [name.removeprefix(CONTROL) for name in tube_names(ctx, control_of(incomplete))]
        return [CompletionItem(each) for each in [*words, *names] if each.startswith(incomplete)]


@click.command()
@click.argument("words", type=Word(), nargs=-1, metavar="[COMMAND] [NAME]...")
@click.option("--jobs", "with_jobs", is_flag=True, help="List the jobs they work on, too.")
@click.option("--all", "everyone", is_flag=True, help="Tell all of them.")
@click.option(
    "--timeout", type=DURATION, default=DEFAULT_TIMEOUT_S, help="How long to wait.  [default: 10s]"
)
@connected
def workers(
    session: Session, words: Sequence[str], with_jobs: bool, everyone: bool, timeout: float
) -> None:
    """List the workers, or tell them: quiet, resume, reload or stop.

    \b
        stalk workers
        stalk workers quiet 'web-*'
        stalk workers stop --all

    NAME may be a pattern as shells have it. BUSY is how many of their slots have jobs, SINCE how
    long they run. A quiet worker takes no new jobs until it is told to resume; reload starts new
    processes with the code of now; stop lets jobs finish, for the worker's --grace at most. Waits
    until the workers have done it. Needs stalkd.
    """  # noqa: D301 - click wants the character
    is_order = bool(words) and words[0] in COMMANDS
    if not is_order:
        if everyone:
            raise CommandError(f"--all of what? Say {' or '.join(COMMANDS)}", EXIT_USAGE)
        with session.client() as client:
            _show(session, matching(all_workers(client), words), with_jobs=with_jobs)
        return
    command, names = cast("Command", words[0]), words[1:]
    if bool(names) == everyone:
        raise CommandError("name workers, or say --all", EXIT_USAGE)
    with session.client() as client:
        told = matching(all_workers(client), names)
        for each in told:
            _check(each)
        _tell(session, command, order(client, command, told, timeout), timeout)


def _check(worker: Worker) -> None:
    """Raise CommandError for a worker that no command can be put for: it reports nonsense."""
    try:
        check_tube(control_of(worker.name))
    except ValueError:
        raise CommandError(f"{worker.name[:MOST_NAME]!r} cannot be the name of a worker") from None


# -- listing --------------------------------------------------------------------------------------


def _show(session: Session, found: Sequence[Worker], *, with_jobs: bool) -> None:
    if session.as_json:
        for each in found:
            output.write_json(each.told)
        return
    now = time.time()
    tables.show(HEADS, [row(each, now) for each in found])
    if not with_jobs:
        return
    rows = [_job_row(each.name, job, now) for each in found for job in each.jobs]
    if rows:
        output.write("")
        tables.show(JOB_HEADS, rows)
    else:
        session.note("no job is being worked on")


def row(worker: Worker, now: float) -> list[str]:
    """Return what is shown of a worker."""
    return [
        worker.name,
        worker.text("host"),
        f"{worker.number('pid'):.0f}",
        worker.text("state"),
        f"{worker.number('busy'):.0f}/{worker.number('slots'):.0f}",
        f"{worker.number('counts', 'done'):.0f}",
        f"{worker.number('counts', 'failed'):.0f}",
        size(worker.number("memory")),
        times.shown(max(0.0, now - worker.number("started"))),
        ",".join(worker.queues) or "-",
    ]


def _job_row(name: str, job: dict[str, Any], now: float) -> list[str]:
    return [
        name,
        f"{sensible(job.get('id')):.0f}",
        f"{sensible(job.get('attempt')):.0f}",
        times.shown(max(0.0, now - sensible(job.get("since")))),
        str(job.get("queue", "-")),
    ]


def size(count: float) -> str:
    """Return bytes as people read them: ``12M``."""
    for unit, step in UNITS:
        if count >= step:
            number = count / step
            return f"{number:.1f}{unit}" if number < 10 else f"{number:.0f}{unit}"  # noqa: PLR2004 - two digits
    return f"{count:.0f}"


# -- telling --------------------------------------------------------------------------------------


def _tell(session: Session, command: Command, result: Result, timeout: float) -> None:
    """Say what has become of it. Raises CommandError unless all have done it."""
    if result.done or session.as_json:
        session.answer(
            f"{DID[command]}: {_names(result.done)}",
            done=[each.name for each in result.done],
            failed=[each.name for each in result.failed],
            late=[each.name for each in result.late],
        )
    complaints = []
    if result.failed:
        complaints.append(
            f"{_names(result.failed)} could not begin with the new code (see its log)"
        )
    if result.late:
        told = ", ".join(f"{each.name} ({_how(each)})" for each in result.late)
        complaints.append(f"not within {times.shown(timeout)}: {told}")
    if complaints:
        raise CommandError("; ".join(complaints))


def _names(found: Sequence[Worker]) -> str:
    return ", ".join(each.name for each in found)


def _how(worker: Worker) -> str:
    """Say what keeps a worker."""
    busy = worker.number("busy")
    return f"{worker.text('state')}, {busy:.0f} busy" if busy else worker.text("state")
