"""What every subcommand has: a server, a way to answer, and somebody to ask, or nobody."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, ParamSpec

import click

from stalkd_client import beyond
from stalkd_client.client import Client
from stalkd_client.command import output
from stalkd_client.command.exits import EXIT_USAGE, CommandError, NeedsStalkdError
from stalkd_client.errors import UnsupportedByServerError

P = ParamSpec("P")

URL_HELP = "The server; without it, that of $STALKD_URL, or of this machine."


@dataclass(slots=True)
class Session:
    """One run of a subcommand: ``url`` is its server, ``as_json`` how it answers."""

    url: str | None
    as_json: bool

    def client(self, **options: Any) -> Client:
        """Return a client of the server, with options of Client."""
        return client_of(self.url, **options)

    def answer(self, text: str, **values: Any) -> None:
        """Write the result: a sentence, or its values as JSON."""
        if self.as_json:
            output.write_json(values)
        else:
            output.write(text)

    def note(self, text: str) -> None:
        """Tell a person something beside the result."""
        if not self.as_json:
            output.note(f"stalk: {text}")


def client_of(url: str | None, **options: Any) -> Client:
    """Return a client of the server at an address, with options of Client."""
    try:
        return Client(url, **options)
    except ValueError as error:
        raise CommandError(str(error), EXIT_USAGE) from None


def connected(command: Callable[..., None]) -> Callable[..., None]:
    """Give a subcommand the options --url and --json, and a session."""

    @click.option("--url", metavar="URL", help=URL_HELP)
    @click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")
    @click.pass_context
    def run(ctx: click.Context, /, **given: Any) -> None:
        url = given.pop("url") or ctx.find_root().params.get("url")
        command(Session(url, given.pop("as_json")), **given)

    return update_wrapper(run, command)


def asks(command: Callable[P, None]) -> Callable[P, None]:
    """Give a subcommand that destroys something the option --yes."""
    return click.option("-y", "--yes", is_flag=True, help="Do not ask.")(command)


def make_sure(question: str, *, yes: bool) -> None:
    """Ask before something is destroyed, unless that was answered beforehand."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(
            "this asks first, and there is nobody to ask: say --yes if you are sure", EXIT_USAGE
        )
    if not click.confirm(question, err=True):
        raise CommandError("nothing was done")


def knows_extended(client: Client) -> bool:
    """Tell whether the server is a stalkd; no beanstalkd is sent what it does not know."""
    try:
        client.execute(beyond.probe())
    except UnsupportedByServerError:
        return False
    return True


def require_stalkd(client: Client, what: str) -> None:
    """Raise NeedsStalkdError unless the server is a stalkd."""
    if not knows_extended(client):
        raise NeedsStalkdError(what)
