"""Writing to the standard output, for people and for machines."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Final

from stalkd_client.command.bodies import safe
from stalkd_client.command.exits import CommandError

_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(", ", ": ")).encode


class ReaderGoneError(Exception):
    """Nobody reads the output any more; a BrokenPipeError might be that of a socket."""


def write(text: str) -> None:
    """Write a text and the end of a line."""
    write_bytes((text + "\n").encode(errors="surrogateescape"))


def write_bytes(data: bytes) -> None:
    """Write bytes as they are."""
    try:
        sys.stdout.buffer.write(data)
    except BrokenPipeError:
        raise ReaderGoneError from None
    except OSError as error:
        raise unwritable(error) from None


def in_json(value: Any) -> str:
    """Return a value as JSON on one line, which a terminal may be shown.

    JSON itself only escapes the older half of the control characters.
    """
    text = _encode(value)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def write_json(value: Any) -> None:
    """Write a value as JSON on one line."""
    write(in_json(value))


def flush() -> None:
    """Let the reader have it all, now."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise ReaderGoneError from None
    except OSError as error:
        raise unwritable(error) from None


def unwritable(error: OSError) -> CommandError:
    """Return what to raise when the output takes no more: this has nothing to do with a server."""
    let_go()
    return CommandError(f"cannot write the output: {error.strerror}")


def let_go() -> None:
    """Give the output another end, so that flushing it at the exit finds somebody."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(text: str) -> None:
    """Say something to the person at the terminal; it is no part of the result."""
    flush()
    sys.stderr.write(safe(text) + "\n")


def is_terminal() -> bool:
    """Tell whether a person reads the output."""
    return sys.stdout.isatty()
