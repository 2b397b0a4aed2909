"""What commands take, checked and as bytes: nothing is sent that no server takes."""

from __future__ import annotations

import re
from math import inf
from typing import Final

MAX_TUBE_NAME: Final = 200
"""Bytes of a tube's name."""

MAX_NUMBER: Final = (1 << 32) - 1
"""The largest priority, and number of seconds, of the plain commands."""

NO_LIMIT_S: Final = (1 << 31) - 1
"""The longest time that extended commands can wait: 68 years."""

_STATE: Final = re.compile(r"[a-z]+")
_TUBE: Final = re.compile(r"[A-Za-z0-9+/;.$_()][A-Za-z0-9+/;.$_()-]{0,199}")
_KEY: Final = re.compile(r"[!-~]{1,250}")


def check_tube(name: str) -> bytes:
    """Return a tube's name as bytes. Raises ValueError."""
    if _TUBE.fullmatch(name) is None:
        raise ValueError(
            f"{name!r} is no name for a tube: 1 to {MAX_TUBE_NAME} of the characters"
            " A-Z a-z 0-9 - + / ; . $ _ ( ), no - in front"
        )
    return name.encode("ascii")


def check_key(key: str) -> bytes:
    """Return a job's key as bytes. Raises ValueError."""
    if _KEY.fullmatch(key) is None:
        raise ValueError(f"{key!r} is no key: 1 to 250 printable characters of ASCII, no spaces")
    return key.encode("ascii")


def check_body(body: bytes | bytearray | memoryview | str) -> bytes:
    """Return a job's body as bytes. Raises TypeError: of a number, bytes() would make zeros."""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    raise TypeError(f"a body is bytes or str, not {type(body).__name__}; a Queue takes values")


def check_state(state: str) -> bytes:
    """Return the name of a job's state, or ``all``, as bytes. Raises ValueError."""
    if _STATE.fullmatch(state) is None:
        raise ValueError(f"{state!r} is no state of jobs")
    return state.encode("ascii")


def check_numbers(**numbers: float) -> None:
    """Raise ValueError for a number that no server takes.

    This matters for put: a server that cannot read its line takes its body for commands.
    """
    for name, value in numbers.items():
        if not 0 <= value <= MAX_NUMBER:
            raise ValueError(f"{name} is {value}: not between 0 and {MAX_NUMBER}")


def whole(seconds: float) -> bytes:
    """Return seconds for a plain command, which takes whole ones: rounded up. Raises ValueError."""
    return b"%d" % -(-_some(seconds) // 1)


def exact(seconds: float) -> bytes:
    """Return seconds for an extended command, with three decimals. Raises ValueError."""
    return (b"%.3f" % seconds).rstrip(b"0").rstrip(b".") if _some(seconds) % 1 else b"%d" % seconds


def _some(seconds: float) -> float:
    """Raise ValueError for a time that is none: a server may take it for a very long one."""
    if not 0 <= seconds < inf:
        raise ValueError(f"{seconds} is no number of seconds from 0 on")
    return seconds


def exact_wait(timeout: float | None) -> bytes:
    """Return a timeout for an extended command; None: no limit."""
    return exact(NO_LIMIT_S if timeout is None else timeout)
