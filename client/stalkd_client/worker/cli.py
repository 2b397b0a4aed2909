"""The command ``stalk-worker``: its options, and what they mean together."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from stalkd_client.address import parse
from stalkd_client.arguments import check_tube
from stalkd_client.codecs import CODECS
from stalkd_client.worker import packets
from stalkd_client.worker.crews.scaling import Range
from stalkd_client.worker.declaring import check_trust
from stalkd_client.worker.live import Live
from stalkd_client.worker.logs import FORMATS, LEVELS, Log
from stalkd_client.worker.messages import Setup
from stalkd_client.worker.reading.pipeline import Given, stages_of
from stalkd_client.worker.reading.pipelinefile import PythonFileError
from stalkd_client.worker.reading.route import route_of
from stalkd_client.worker.reading.seconds import SECONDS, SOME_SECONDS
from stalkd_client.worker.reporting.identity import check_name
from stalkd_client.worker.retrying import Rules
from stalkd_client.worker.settings import STDIN, STDOUT, Plan, QueueSpec, Settings
from stalkd_client.worker.supervisor import Supervisor

if TYPE_CHECKING:
    from stalkd_client.worker.once.run import Once

MOST_PROCESSES: Final = 1024
MOST_SLOTS: Final = 1024
"""In one process: each is a thread and a connection."""

MOST_PREFETCHED: Final = 1000
"""A batch has no more jobs."""

USUAL: Final = Rules()
"""What holds if neither the command line nor the handler says anything."""

SERVER_ONLY: Final = {
    "queues": "--queue",
    "outputs": "--output",
    "url": "--url",
    "on_error": "--on-error",
    "burst": "--burst",
    "idle_exit": "--idle-exit",
    "autoscale": "--autoscale",
    "stop_at_eof": "--stop-at-eof",
}
"""Options that mean nothing where there is no server, as with ``--once``."""

COUNT: Final = click.IntRange(min=1)


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _options(*options: Decorator) -> Decorator:
    """Return a decorator that adds options, in this order."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_WHAT: Final = _options(
    click.argument("handler", required=False, metavar="[HANDLER]"),
    click.option(
        "--exec", "command", metavar="COMMAND", help="Run a program for each job, body on stdin."
    ),
    click.option(
        "-q", "--queue", "queues", multiple=True, metavar="NAME[=SLOTS]",
        help="Serve a queue, or a pattern of queues; with slots of its own. Repeatable.",
    ),
    click.option("--url", metavar="URL", help="The server; by default that in STALKD_URL."),
    click.option(
        "--codec", type=click.Choice(list(CODECS)), show_default="json",
        help="How bodies become messages.",
    ),
    click.option(
        "--trusted", is_flag=True, help="Whoever can put jobs may run code here (for pickle)."
    ),
    click.option(
        "-o", "--output", "outputs", multiple=True, metavar="QUEUE",
        help="Put what the handler returns into a queue. Repeatable.",
    ),
    click.option("--iter-output", is_flag=True, help="Put each element of what it returns."),
    click.option(
        "--once", is_flag=True,
        help="Take the lines of stdin instead of jobs, write to stdout, and end; without a server.",
    ),
    click.option(
        "--errors", metavar="FILE", help="With --once: write what is known of each failure there."
    ),
)  # fmt: skip

_HOOKS: Final = _options(
    click.option(
        "--before", multiple=True, metavar="MODULE:FUNC",
        help="Call this before each job. Repeatable.",
    ),
    click.option(
        "--after", multiple=True, metavar="MODULE:FUNC",
        help="Call this after each job. Repeatable.",
    ),
    click.option(
        "--middleware", multiple=True, metavar="MODULE:CLASS",
        help="Make one of it in each process, and call its before and after. Repeatable.",
    ),
)  # fmt: skip

_FAILURES: Final = _options(
    click.option(
        "--retry-on", multiple=True, metavar="EXC", help="Try again after this error. Repeatable."
    ),
    click.option(
        "--max-retries", type=click.IntRange(min=0), show_default=str(USUAL.max_retries),
        metavar="N", help="How often a job is tried again.",
    ),
    click.option(
        "--retry-delay", type=SECONDS, show_default=f"{USUAL.retry_delay:g}", metavar="S",
        help="Seconds before it is.",
    ),
    click.option("--backoff", is_flag=True, help="Double that each time, and vary it."),
    click.option(
        "--max-delay", type=SECONDS, show_default=f"{USUAL.max_delay:g}", metavar="S",
        help="Never wait longer than that.",
    ),
    click.option(
        "--on-error", multiple=True, metavar="EXC=QUEUE[:S]",
        help="Send jobs with this error to a queue, to be run there in S seconds. Repeatable.",
    ),
    click.option(
        "--attempts", type=COUNT, default=3, show_default=True, metavar="N",
        help="Bury a job at whose N-th attempt the process dies.",
    ),
    click.option(
        "--time-limit", type=SOME_SECONDS, metavar="S", help="Kill the process of a slower job."
    ),
    click.option(
        "--soft-time-limit", type=SOME_SECONDS, metavar="S",
        help="Raise SoftTimeLimitError in a slower handler.",
    ),
)  # fmt: skip

_PROCESSES: Final = _options(
    click.option(
        "-p", "--processes", type=click.IntRange(1, MOST_PROCESSES), show_default="1",
        metavar="N", help="How many processes run handlers.",
    ),
    click.option(
        "--autoscale", metavar="MIN..MAX",
        help="Run between MIN and MAX of them instead, as the work demands.",
    ),
    click.option(
        "-c", "--concurrency", type=click.IntRange(1, MOST_SLOTS), default=1, show_default=True,
        metavar="N", help="Jobs at a time in each: threads, or tasks of async handlers.",
    ),
    click.option(
        "--async-backend", type=click.Choice(["asyncio", "trio"]), default="asyncio",
        show_default=True, help="The event loop of async handlers.",
    ),
    click.option(
        "--prefetch", type=click.IntRange(1, MOST_PREFETCHED), default=100, show_default=True,
        metavar="N", help="Jobs taken at a time while they are quick.",
    ),
    click.option(
        "--max-jobs", type=COUNT, metavar="N", help="Replace a process after so many jobs."
    ),
    click.option(
        "--max-age", type=SOME_SECONDS, metavar="S", help="Replace a process after S seconds."
    ),
    click.option(
        "--max-memory", type=COUNT, metavar="BYTES", help="Replace a process that has grown so."
    ),
)  # fmt: skip

_ENDING: Final = _options(
    click.option(
        "--grace", type=SECONDS, default=30.0, show_default=True, metavar="S",
        help="How long jobs may take to finish when the worker stops.",
    ),
    click.option("--burst", is_flag=True, help="Stop when no job is ready any more."),
    click.option(
        "--idle-exit", type=SECONDS, metavar="S", help="Stop after S seconds without a job."
    ),
    click.option("--stop-after", type=COUNT, metavar="N", help="Stop after N jobs."),
    click.option("--stop-at-eof", is_flag=True, help="Stop when the standard input ends."),
    click.option("--fail-on-error", is_flag=True, help="Exit with 3 if a job failed for good."),
    click.option(
        "--log-format", type=click.Choice(list(FORMATS)), default="text", show_default=True,
        help="How lines of the log look.",
    ),
    click.option(
        "--log-level", type=click.Choice(list(LEVELS)),
        help="What is logged; info by default, and with --live single jobs from warning on.",
    ),
    click.option(
        "--live/--no-live", default=None,
        help="Show a line that tells how it goes; by default on a terminal.",
    ),
    click.option(
        "--name", metavar="NAME", help="What `stalk workers` calls it; by default HOST-PID."
    ),
    click.option(
        "--no-report", "report", is_flag=True, default=True, flag_value=False,
        help="Tell the server nothing, and take no commands from it.",
    ),
)  # fmt: skip


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@_WHAT
@_FAILURES
@_HOOKS
@_PROCESSES
@_ENDING
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


def read(stages: Sequence[Given]) -> Plan:
    """Return what is meant by the options of all stages. Raises ValueError."""
    if stages[0]["once"]:
        stages = [_without_server(each) for each in stages]
    elif stages[0]["errors"] is not None:
        raise ValueError("--errors is for --once; on a server, records stand beside their jobs")
    if stages[0]["name"] is not None:
        check_name(stages[0]["name"])
    of_worker = ("idle_exit", "stop_after", "fail_on_error", "stop_at_eof", "name", "report")
    general = {name: stages[0][name] for name in of_worker}  # They are the same in all stages.
    return Plan(stages=tuple(map(_located, stages)), **general)


def _without_server(given: Given) -> Given:
    """Return what ``--once`` means in other options. Raises ValueError."""
    for name, option in SERVER_ONLY.items():
        if given[name] not in {(), None} and given[name] is not False:
            raise ValueError(f"{option} needs a server, and --once has none")
    if given["codec"] == "pickle":
        raise ValueError("--codec pickle: a pickle is no line; --once needs another codec")
    served = {"queues": (STDIN,), "outputs": (STDOUT,)}
    return {**given, **served, "fail_on_error": True, "report": False}


def _located(given: Given) -> Settings:
    try:
        return _stage(given)
    except ValueError as error:
        raise ValueError(f"{given['where']}: {error}" if given["where"] else str(error)) from None


def _stage(given: Given) -> Settings:
    command = tuple(shlex.split(given["command"] or ""))
    if bool(command) == bool(given["handler"]):
        raise ValueError("name one handler: module:function, a module with tasks, or --exec")
    queues = tuple(map(QueueSpec.parse, given["queues"]))
    least, processes = _processes(given)
    if command and not queues:
        raise ValueError("--exec needs --queue")
    _check(given)
    kept = (
        "url", "concurrency", "prefetch", "attempts", "grace", "max_jobs", "max_age",
        "max_memory", "burst",
    )  # fmt: skip
    return Settings(
        setup=_setup(given, command), queues=queues, processes=processes, least=least,
        where=given["where"],
        **{name: given[name] for name in kept},
    )  # fmt: skip


def _processes(given: Given) -> tuple[int | None, int]:
    """Return how many processes there are at least, None if that does not change, and at most."""
    if given["autoscale"] is None:
        return None, given["processes"] or 1
    if given["processes"] is not None:
        raise ValueError("say either --processes or --autoscale")
    least, most = Range.parse(given["autoscale"])
    if most > MOST_PROCESSES:
        raise ValueError(f"--autoscale {least}..{most}: at most {MOST_PROCESSES} processes")
    return least, most


def _check(given: Given) -> None:
    """Raise ValueError for what could only fail later."""
    parse(given["url"])
    check_trust(given["codec"], trusted=given["trusted"])
    _check_limits(given["soft_time_limit"], given["time_limit"])
    for queue in given["outputs"]:
        check_tube(queue)
    for option in ("before", "after", "middleware"):
        for name in given[option]:
            module, _, path = name.partition(":")
            if not (module and path):
                raise ValueError(f"--{option} {name!r} is not MODULE:NAME")


def _check_limits(soft: float | None, hard: float | None) -> None:
    """Raise ValueError where the process would be gone before its handler is told to end."""
    if soft is not None and hard is not None and soft >= hard:
        raise ValueError(
            f"--soft-time-limit {soft:g} is not below --time-limit {hard:g},"
            " which ends the whole process"
        )


def _setup(given: Given, command: tuple[str, ...]) -> Setup:
    return Setup(
        handler=given["handler"] or "",
        command=command,
        slots=0,
        backend=given["async_backend"],
        codec=given["codec"],
        trusted=given["trusted"],
        outputs=given["outputs"],
        iter_output=given["iter_output"] or None,
        retry_on=given["retry_on"],
        retry_delay=given["retry_delay"],
        max_retries=given["max_retries"],
        backoff=given["backoff"] or None,
        max_delay=given["max_delay"],
        on_error=tuple(map(route_of, given["on_error"])),
        before=given["before"],
        after=given["after"],
        middleware=given["middleware"],
        time_limit=given["time_limit"],
        soft_time_limit=given["soft_time_limit"],
        directory=given["directory"],
    )
