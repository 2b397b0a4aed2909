"""``stalk`` itself: its subcommands, and what becomes of their errors."""

from __future__ import annotations

import os
from typing import Any, Final

import click

from stalkd_client.address import parse
from stalkd_client.command import output
from stalkd_client.command.carrying import cp, mv
from stalkd_client.command.exits import (
    EXIT_INTERRUPTED,
    EXIT_PIPE,
    EXIT_USAGE,
    CommandError,
    explain,
)
from stalkd_client.command.exporting import export
from stalkd_client.command.hygiene import drain, ping, wait_empty
from stalkd_client.command.importing import import_
from stalkd_client.command.job_list import jobs
from stalkd_client.command.leasing import reserve
from stalkd_client.command.listing import ls
from stalkd_client.command.mending import bury, kick, rm
from stalkd_client.command.moving import move
from stalkd_client.command.one_job import peek, show
from stalkd_client.command.policies import policy
from stalkd_client.command.putting import put
from stalkd_client.command.rezeroing import rezero
from stalkd_client.command.server import clients, stats
from stalkd_client.command.top import top
from stalkd_client.command.whole_tubes import pause, purge, release, resume
from stalkd_client.command.workers import workers
from stalkd_client.errors import StalkdError

DEBUG_VARIABLE: Final = "STALK_DEBUG"
"""Environment variable that lets an unforeseen error show where it was raised."""


class Root(click.Group):
    """The group of all subcommands, which turns errors into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the subcommands in the order of SUBCOMMANDS: what is needed first comes first."""
        del ctx
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a subcommand."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):  # Abort: Ctrl-C at a question.
            ctx.exit(EXIT_INTERRUPTED)
        except output.ReaderGoneError:
            output.let_go()
            ctx.exit(EXIT_PIPE)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (CommandError, StalkdError, OSError) as error:
            ctx.exit(_complain(error, ctx))
        except Exception as error:
            if os.environ.get(DEBUG_VARIABLE):
                raise
            ctx.exit(_complain(error, ctx))


def _complain(error: Exception, ctx: click.Context) -> int:
    code, text = explain(error, _address(ctx))
    output.note(f"stalk: {text}")
    return code


def _address(ctx: click.Context) -> str:
    try:
        return str(parse(ctx.params.get("url")))
    except ValueError:
        return "the server"


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Begin with `stalk ls`. `stalk COMMAND --help` tells more; so does `man stalk`.",
)
@click.option(
    "--url",
    metavar="URL",
    help="The server, as stalkd://host:port or unix:/path; without it, that of $STALKD_URL, or"
    " of this machine.",
)
@click.version_option(package_name="stalkd", message="%(prog)s %(version)s")
def stalk(url: str | None) -> None:
    """Look into the queues of stalkd or beanstalkd, mend them, and carry jobs about.

    A queue is stuck? See how many jobs there are where, look at the buried ones, ask why one does
    not run, and give them another chance:

    \b
        stalk ls
        stalk jobs mail --state buried
        stalk show 4711
        stalk kick mail 10        (or --all)
        stalk move mail.dead mail --rate 10/s
    """  # noqa: D301 - click wants the character
    if url is not None:
        try:
            parse(url)
        except ValueError as error:
            raise CommandError(str(error), EXIT_USAGE) from None


SUBCOMMANDS: Final = (
    *(ls, jobs, show, peek, stats, clients, workers, top, ping),
    *(kick, bury, rm, purge, release, move, pause, resume, policy, rezero),
    *(put, reserve, cp, mv, export, import_, wait_empty, drain),
)

for _each in SUBCOMMANDS:
    stalk.add_command(_each)
