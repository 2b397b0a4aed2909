"""The ``stalkd`` command: options, sockets, exit codes.

Nothing heavy is imported before the sockets listen: clients' own test suites start a server and
connect a tenth of a second later, and the event loop alone takes longer than that to import.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click
from click.core import ParameterSource

from stalkd import __version__
from stalkd.config import (
    DEFAULT_LISTEN,
    DEFAULT_MAX_JOB_SIZE,
    DEFAULT_PORT,
    DEFAULT_SEGMENT_BYTES,
    DEFAULT_SYNC_MS,
    LARGEST_MAX_JOB_SIZE,
    LARGEST_SEGMENT_BYTES,
    LARGEST_SYNC_MS,
    LONGEST_IDLE_S,
    Config,
)
from stalkd.server.faults import LogError, LogLostError
from stalkd.server.listeners import (
    CannotListenError,
    Listener,
    inherited_listeners,
    open_listeners,
)
from stalkd.server.logs import event, open_log
from stalkd.server.process import ProcessError, become, connection_limit

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

EXIT_CANNOT_START: Final = 1
"""The system refuses something: an address, a user."""

EXIT_USAGE: Final = 2
"""The command line is wrong."""

EXIT_LOG_LOST: Final = 74
"""The log could not be written any more (EX_IOERR of sysexits.h)."""

EXIT_BUG: Final = 70
"""The daemon found itself in a wrong state (EX_SOFTWARE of sysexits.h)."""

MOST_DIGITS: Final = 40
"""Digits of a number: beyond any memory, and any time."""

BYTES: Final = "plain number of bytes, as 1048576"
MILLISECONDS: Final = "whole number of milliseconds, as 50"
SECONDS: Final = "whole number of seconds, as 60"

MAX_PORT: Final = 65_535
"""TCP's largest port."""

HELD_BACK: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
"""Signals that arrive during start-up wait until there is somebody to handle them in order."""

IDLE_ALONE: Final = {
    "sync_ms": "-f",
    "no_sync": "-F",
    "segment_bytes": "-s",
    "exit_on_log_error": "--exit-on-log-error",
}
"""Options about the log. Whoever gives one and forgets -b must hear that nothing is kept."""

OPEN_UP: Final = "other machines cannot connect; -l 0.0.0.0 -l :: lets them"


class Port(click.ParamType[int]):
    """A TCP port: a number, or the name of a service."""

    name = "port"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:  # noqa: ANN401 - click's signature
        """Return the number."""
        if isinstance(value, int):
            return value
        try:
            number = int(value) if value.isascii() and value.isdigit() else _service(value)
        except (OSError, ValueError):  # Not known; thousands of digits; bytes of no encoding.
            self.fail(f"{value!r} is neither a number nor a known service", param, ctx)
        if number > MAX_PORT:
            self.fail(f"{value} is over {MAX_PORT}", param, ctx)
        return number


class Number(click.ParamType[int]):
    """A plain decimal number of something."""

    name = "number"

    def __init__(self, kind: str, least: int, most: int | None = None) -> None:
        """Refuse numbers below ``least`` and above ``most``; ``kind`` has an example."""
        self._kind, self._least, self._most = kind, least, most

    def convert(self, value: Any, param: Any, ctx: Any) -> int:  # noqa: ANN401 - click's signature
        """Return the number."""
        if isinstance(value, int):
            return value
        if not value.isascii() or not value.isdigit() or len(value) > MOST_DIGITS:
            self.fail(f"{value!r} is not a {self._kind} is", param, ctx)
        if int(value) < self._least:
            self.fail(f"{value} is less than {self._least}", param, ctx)
        if self._most is not None and int(value) > self._most:
            self.fail(f"{value} is over {self._most}", param, ctx)
        return int(value)


def _service(name: str) -> int:
    return socket.getservbyname(name, "tcp")


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Signals: TERM, INT and HUP stop; USR1 refuses puts from then on. See stalkd(1).",
)
@click.option(
    "-l",
    "--listen",
    metavar="ADDR",
    multiple=True,
    help="Listen on this host, IPv4 or IPv6 address, or unix:PATH; may be repeated."
    f" [default: {DEFAULT_LISTEN[0]}]",
)
@click.option(
    "-p",
    "--port",
    type=Port(),
    metavar="PORT",
    default=DEFAULT_PORT,
    show_default=True,
    help="Listen on this TCP port; 0 takes a free one.",
)
@click.option("-u", "--user", metavar="USER", help="Run as this user once the sockets listen.")
@click.option(
    "-z",
    "--max-job-size",
    type=Number(BYTES, 0),
    metavar="BYTES",
    default=DEFAULT_MAX_JOB_SIZE,
    show_default=True,
    help="Refuse jobs with a larger body.",
)
@click.option(
    "--max-memory",
    type=Number(BYTES, 1),
    metavar="BYTES",
    help="Refuse puts while the jobs take more than this. [default: no limit]",
)
@click.option(
    "--max-connections",
    type=click.IntRange(min=1),
    metavar="N",
    help="Refuse connections over this number. [default: what the limit of open files allows]",
)
@click.option(
    "-b", "--wal-dir", metavar="DIR", help="Keep a write-ahead log in DIR, made if missing."
)
@click.option(
    "-f",
    "--sync-ms",
    type=Number(MILLISECONDS, 0, LARGEST_SYNC_MS),
    metavar="MS",
    default=DEFAULT_SYNC_MS,
    show_default=True,
    help="Sync the log at least every MS milliseconds; 0: before each reply.",
)
@click.option("-F", "--no-sync", is_flag=True, help="Never sync the log: leave that to the system.")
@click.option(
    "-s",
    "--segment-bytes",
    type=Number(BYTES, 1, LARGEST_SEGMENT_BYTES),
    metavar="BYTES",
    default=DEFAULT_SEGMENT_BYTES,
    show_default=True,
    help="Size of one file of the log.",
)
@click.option(
    "--exit-on-log-error",
    is_flag=True,
    help="Stop when the log cannot be written any more, instead of refusing puts.",
)
@click.option(
    "--idle-exit",
    type=Number(SECONDS, 1, LONGEST_IDLE_S),
    metavar="SECONDS",
    help="Stop when there has been no connection for so long.",
)
@click.option(
    "--check",
    metavar="DIR",
    help="Verify the log in DIR, print what it holds, and exit.",
)
@click.option("--salvage", metavar="DIR", help="Copy what is intact in the log in DIR, and exit.")
@click.option("--into", metavar="NEW", help="The directory for --salvage to make a new log in.")
@click.option("-c", "compact", is_flag=True, help="Ignored, for old scripts.")
@click.option("-n", "no_compact", is_flag=True, help="Ignored, for old scripts.")
@click.option(
    "-V", "--verbose", count=True, help="Log connections as well; twice: all that is said, too."
)
@click.version_option(__version__, "-v", "--version", message="stalkd %(version)s")
def stalkd(**options: Any) -> None:  # noqa: ANN401 - the options above
    """Run a work queue that speaks the Beanstalk protocol."""
    _demand_sense(options)
    if options["check"] is not None or options["salvage"] is not None:
        sys.exit(_offline(options))
    log = open_log(sys.stderr, options["verbose"])
    _tell_ignored(options, log)
    _start(_config(options, log), log)


def _tell_ignored(options: dict[str, Any], log: logging.Logger) -> None:
    """Warn of options that do nothing here."""
    for name, option in (("compact", "-c"), ("no_compact", "-n")):
        if options[name]:
            log.warning(event("option_ignored", option=option))
    if options["wal_dir"] is not None:
        return
    source = click.get_current_context().get_parameter_source
    for name, option in IDLE_ALONE.items():
        if source(name) == ParameterSource.COMMANDLINE:
            reason = f"{option} has no effect without -b"
            log.warning(event("option_ignored", option=option, reason=reason))


def _config(options: dict[str, Any], log: logging.Logger) -> Config:
    size = options["max_job_size"]
    if size > LARGEST_MAX_JOB_SIZE:  # beanstalkd does the same, and scripts rely on it.
        log.warning(event("job_size_capped", asked=size, used=LARGEST_MAX_JOB_SIZE))
        size = LARGEST_MAX_JOB_SIZE
    return Config(
        listen=options["listen"] or DEFAULT_LISTEN,
        port=options["port"],
        user=options["user"],
        max_job_size=size,
        max_memory=options["max_memory"],
        max_connections=options["max_connections"],
        verbosity=options["verbose"],
        sync_ms=None if options["no_sync"] else options["sync_ms"],
        segment_bytes=options["segment_bytes"],
        wal_dir=options["wal_dir"],
        exit_on_log_error=options["exit_on_log_error"],
        idle_exit_s=options["idle_exit"],
    )


def _demand_sense(options: dict[str, Any]) -> None:
    """Refuse options that do not belong together, and names that a script left empty."""
    for name, option in (("wal_dir", "-b"), ("check", "--check"), ("salvage", "--salvage")):
        if not options[name] and options[name] is not None:
            raise click.UsageError(f"{option} needs the name of a directory")
    if (options["salvage"] is None) != (options["into"] is None):
        raise click.UsageError("--salvage DIR and --into NEW belong together")
    if options["salvage"] is not None and options["check"] is not None:
        raise click.UsageError("--check and --salvage are two commands; give one of them")


def _offline(options: dict[str, Any]) -> int:
    """Check or salvage a log; return the exit code."""
    from stalkd.server.offline import check_log, salvage_log

    if options["check"] is not None:
        return check_log(options["check"], sys.stdout)
    return salvage_log(options["salvage"], options["into"], sys.stdout)


def _start(config: Config, log: logging.Logger) -> None:
    """Listen, say so, give up privileges, and serve until told to stop."""
    listeners = _listen(config, log)
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    try:
        limit = connection_limit(config.max_connections)
        if config.max_connections is not None and limit < config.max_connections:
            hint = "raise the hard limit of open files with ulimit -Hn or LimitNOFILE="
            log.warning(
                event("connections_capped", asked=config.max_connections, used=limit, hint=hint)
            )
        if config.user is not None:
            _become(config.user)
        with _locked(config.wal_dir):
            _announce(listeners, log)
            _serve(config, listeners, log, limit)
    finally:
        for listener in listeners:
            listener.close()


def _locked(path: str | None) -> AbstractContextManager[object]:
    """Make the log's directory if missing, and hold it. Raises LogError."""
    if path is None:
        return nullcontext()
    from stalkd.server.wal_dir import hold

    return closing(hold(path))


def _become(user: str) -> None:
    """Change the user, with everything loaded that the new one may not be able to read."""
    import stalkd.server.daemon  # noqa: F401 - heavy, and not used before _serve

    become(user)


def _listen(config: Config, log: logging.Logger) -> list[Listener]:
    inherited = inherited_listeners()
    if not inherited:
        return open_listeners(config.listen, config.port)
    if config.listen != DEFAULT_LISTEN or config.port != DEFAULT_PORT:
        log.warning(event("option_ignored", option="-l, -p", reason="systemd passed the sockets"))
    return inherited


def _announce(listeners: Sequence[Listener], log: logging.Logger) -> None:
    for listener in listeners:
        closed = listener.is_loopback and not listener.inherited
        hint = {"hint": OPEN_UP} if closed else {}
        log.info(event("listening", address=listener.address, pid=os.getpid(), **hint))


def _serve(config: Config, listeners: Sequence[Listener], log: logging.Logger, limit: int) -> None:
    from stalkd.server.daemon import serve

    try:
        serve(config, [listener.socket for listener in listeners], log, limit)
    except LogLostError as error:
        log.error(event("stopped_without_log", reason=error))  # noqa: TRY400 - no bug of ours
        sys.exit(EXIT_LOG_LOST)
    except LogError:
        raise
    except Exception:
        log.exception(event("failed", hint="this is a bug in stalkd; please report it"))
        sys.exit(EXIT_BUG)
    log.info(event("stopped"))


def main() -> NoReturn:
    """Run the command; every failure is one line and an exit code."""
    try:
        code = stalkd.main(prog_name="stalkd", standalone_mode=False)
    except click.ClickException as error:
        _complain(error.format_message())
        code = EXIT_USAGE
    except (CannotListenError, ProcessError, LogError) as error:
        _complain(str(error))
        code = EXIT_CANNOT_START
    except OSError as error:  # Nobody takes what we print.
        _complain(f"cannot print: {error.strerror or 'nobody reads it'}")
        _let_go_of_output()
        code = EXIT_CANNOT_START
    except click.Abort:
        code = EXIT_CANNOT_START
    sys.exit(code)


def _let_go_of_output() -> None:
    """Give it another end: some interpreters print it once more at their exit, and complain."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(text: str) -> None:
    click.echo(f"stalkd: {' '.join(text.split())}", err=True)
