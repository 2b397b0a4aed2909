"""Exit codes, and one clear sentence for everything that can go wrong."""

from __future__ import annotations

from typing import Final

from stalkd_client.address import LOOPBACK
from stalkd_client.errors import (
    BadFormatError,
    DeadlineSoonError,
    DrainingError,
    JobTooBigError,
    LeaseLostError,
    NotDurableError,
    NotFoundError,
    OutOfMemoryError,
    ProtocolError,
    ServerError,
    StalkdError,
    TimedOutError,
    TubeFullError,
    UnsupportedByServerError,
)
from stalkd_client.shell import HERE

EXIT_DONE: Final = 0
"""All that was asked for is done."""

EXIT_REFUSED: Final = 1
"""The server refused, nothing was found, time was up, or somebody answered no."""

EXIT_USAGE: Final = 2
"""The command line is wrong."""

EXIT_UNREACHABLE: Final = 3
"""No connection, a broken one, or no answer in time."""

EXIT_UNWELL: Final = 4
"""``ping``: the server answers, but its log has failed or its disk is full."""

EXIT_NEEDS_STALKD: Final = 5
"""The server does not know a command that this needs: a plain beanstalkd, or an old stalkd."""

EXIT_BUG: Final = 70
"""Something that nobody foresaw (EX_SOFTWARE of sysexits.h)."""

EXIT_INTERRUPTED: Final = 130
"""Ctrl-C: 128 and the number of SIGINT, as shells have it."""

EXIT_PIPE: Final = 141
"""Whoever read the output has gone: 128 and the number of SIGPIPE."""

PRIVATE: Final = "local:"
"""Addresses whose daemon is started by who needs it."""

ELSEWHERE: Final = "is the daemon running there, and does it listen on that address (`stalkd -l`)?"


class CommandError(Exception):
    """A command cannot go on; ``code`` is the one it exits with."""

    def __init__(self, message: str, code: int = EXIT_REFUSED) -> None:
        super().__init__(message)
        self.code = code


class NeedsStalkdError(CommandError):
    """The server is none that can do this."""

    def __init__(self, message: str) -> None:
        super().__init__(message, EXIT_NEEDS_STALKD)


SENTENCES: Final[dict[type[StalkdError], str]] = {
    UnsupportedByServerError: "the server does not know this command: it needs stalkd, and this is"
    " a plain beanstalkd or an old stalkd",
    LeaseLostError: "the connection broke, so the job's lease is lost: it goes to somebody else",
    NotFoundError: "there is no such job or tube, or somebody else holds the job",
    TimedOutError: "no job came in time",
    DeadlineSoonError: "a lease is about to end",
    JobTooBigError: "a body is larger than the server takes (its option -z)",
    TubeFullError: "the tube is full (its policy max-jobs)",
    OutOfMemoryError: "the server has no room: its memory limit, its disk or the tube is full",
    DrainingError: "the server takes no more jobs: it is draining (`stalk drain --off` ends that)",
    NotDurableError: "the server keeps no log (its option -b), so --sync cannot be promised",
    ServerError: "the server met a fault of its own",
    BadFormatError: "the server does not accept these arguments",
}
"""What the server's words mean to somebody who does not know the protocol."""


def explain(error: Exception, address: str) -> tuple[int, str]:
    """Return the exit code and the sentence for an error."""
    if isinstance(error, CommandError):
        return error.code, str(error)
    if isinstance(error, StalkdError):
        code = EXIT_NEEDS_STALKD if isinstance(error, UnsupportedByServerError) else EXIT_REFUSED
        return code, sentence(error)
    if isinstance(error, OSError):
        return EXIT_UNREACHABLE, _trouble(error, address)
    return EXIT_BUG, f"this is a bug: {type(error).__name__}: {error} (STALK_DEBUG=1 tells where)"


def sentence(error: StalkdError) -> str:
    """Return what a refusal means, and the server's own word."""
    for kind in type(error).__mro__:
        if kind in SENTENCES:
            word = str(error).rpartition(": ")[2]
            return f"{SENTENCES[kind]} ({word})" if word.isupper() else SENTENCES[kind]
    return str(error)


def _trouble(error: OSError, address: str) -> str:
    if isinstance(error, ProtocolError):
        return f"what answers at {address} is no Beanstalk server: {error}"
    text = str(error)
    if not text.startswith("cannot connect to "):
        return f"lost the connection to {address}: {reason(error)}"
    where = text.removeprefix("cannot connect to ").partition(": ")[0]
    if where.startswith(PRIVATE):
        return text  # It says itself why its daemon did not start.
    hint = HERE if where.startswith(LOOPBACK) else ELSEWHERE
    return f"cannot connect to {where}: {reason(error)}; {hint}"


def reason(error: OSError) -> str:
    """Return why a system call failed, without its number."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    return cause.strerror or str(cause)
