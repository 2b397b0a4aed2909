"""The command ``stalk-worker``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

from stalkd_client.worker import options, packets
from stalkd_client.worker.live import Live
from stalkd_client.worker.logs import Log
from stalkd_client.worker.reading.pipeline import Given, stages_of
from stalkd_client.worker.reading.pipelinefile import PythonFileError
from stalkd_client.worker.reading.plan import read
from stalkd_client.worker.supervisor import Supervisor

if TYPE_CHECKING:
    from stalkd_client.worker.once.run import Once


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@options.WHAT
@options.FAILURES
@options.HOOKS
@options.PROCESSES
@options.ENDING
@click.version_option(
    None, "-v", "--version", package_name="stalkd", message="%(prog)s %(version)s"
)
def stalk_worker(**_given: Any) -> NoReturn:
    """Run HANDLER over the jobs of queues.

    HANDLER is module:function, module:object, or a module with tasks; path/to/file.py may be the
    module. Or it is a file with a whole pipeline, FILE.toml or FILE.py.
    """
    try:
        stages = stages_of(click.get_current_context())
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except PythonFileError as error:
        raise click.ClickException(str(error)) from None
    show(stages)


def show(stages: Sequence[Given]) -> NoReturn:
    """Be a worker that tells how it goes on the standard error. Raises click.ClickException."""
    live = _live(stages[0])
    level, style, once = (stages[0][name] for name in ("log_level", "log_format", "once"))
    log = Log(style, level or "info", level or ("warning" if live or once else "info"))
    run(stages, log, live)


def run(stages: Sequence[Given], log: Log, live: Live | None = None) -> NoReturn:
    """Be a worker with these stages until its end. Raises click.ClickException."""
    if not packets.are_supported():
        raise click.ClickException("this system has no sockets of packets (SOCK_SEQPACKET)")
    try:
        plan = read(stages)
        once = _once(stages[0], log, live) if stages[0]["once"] else None
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if once is not None and live is not None:
        live = once.live()
    sys.exit(Supervisor(plan, log, live, once).run())


def _once(given: Given, log: Log, live: Live | None) -> Once:
    """Have the files that a run without a server is about. Raises ValueError."""
    from stalkd_client.worker.once.run import prepare  # noqa: PLC0415 - who serves queues need not load it

    ends_lines = bool(given["command"])  # As programs do.
    return prepare(given["errors"], log, adds_newline=not ends_lines, has_bar=live is not None)


def _live(given: Given) -> Live | None:
    """Return what makes the line of a terminal, if there is to be one."""
    if given["live"] is None:
        is_wanted = sys.stderr.isatty() and given["log_format"] == "text"
    else:
        is_wanted = given["live"]
    return Live() if is_wanted else None


def main() -> None:
    """Be the command."""
    stalk_worker(prog_name="stalk-worker")
