"""The options of ``stalk-worker``, as its command line has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

from stalkd_client.codecs import CODECS
from stalkd_client.worker.logs import FORMATS, LEVELS
from stalkd_client.worker.reading.seconds import SECONDS, SOME_SECONDS
from stalkd_client.worker.retrying import Rules
from stalkd_client.worker.settings import MOST_PROCESSES

MOST_SLOTS: Final = 1024
"""In one process: each is a thread and a connection."""

MOST_PREFETCHED: Final = 1000
"""A batch has no more jobs."""

USUAL: Final = Rules()
"""What holds if neither the command line nor the handler says anything."""

COUNT: Final = click.IntRange(min=1)


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _options(*options: Decorator) -> Decorator:
    """Return a decorator that adds options, in this order."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


WHAT: Final = _options(
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

HOOKS: Final = _options(
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

FAILURES: Final = _options(
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

PROCESSES: Final = _options(
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

ENDING: Final = _options(
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
