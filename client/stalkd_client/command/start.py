"""How the command begins and ends as a process."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from stalkd_client.command.exits import EXIT_INTERRUPTED, EXIT_PIPE, CommandError
from stalkd_client.command.output import ReaderGoneError, flush, let_go, unwritable


def main() -> NoReturn:
    """Run ``stalk`` and exit, quietly when somebody has had enough of it."""
    _open_what_is_closed()
    try:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # Else in the background.
            signal.signal(signal.SIGINT, _interrupt)
        from stalkd_client.command.root import stalk  # noqa: PLC0415 - Ctrl-C may come here too

        code = _run(stalk.main)
        flush()
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except ReaderGoneError:
        code = EXIT_PIPE
    except CommandError as error:
        code = _complain(error)
    except OSError as error:  # Of --help and --version: what a subcommand meets, it explains.
        code = _complain(unwritable(error))
    _leave(code)


def _open_what_is_closed() -> None:
    """Let a stream that the caller has closed be one to nowhere.

    Python has None for it, and the first socket would take its place.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(nowhere, mode, encoding="utf-8"))


def _complain(error: CommandError) -> int:
    sys.stderr.write(f"stalk: {error}\n")
    return error.code


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """End the command, once: a second Ctrl-C must not interrupt the end."""
    del number, frame
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _run(command: object) -> int:
    try:
        command(prog_name="stalk")  # type: ignore[operator]  # click's main
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


def _leave(code: int) -> NoReturn:
    """Exit; what is still to be written to a reader that is gone must not be complained about."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if code == EXIT_PIPE:
        let_go()
    sys.exit(code)
