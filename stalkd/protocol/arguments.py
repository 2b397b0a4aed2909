"""Reading what stands behind a command's name.

Strictness is beanstalkd's: see the notes at each function. Everything here raises BadFormat for
what it does not accept, and nothing else.
"""

from __future__ import annotations

import re
from typing import Final

from stalkd.protocol.limits import MAX_TIMEOUT_S, MAX_U32, MAX_U64


class BadFormat(Exception):
    """The client's line does not have the form of its command."""


_SPACE: Final = ord(" ")

_PUT_WITH_JUNK: Final = re.compile(rb" *(\d+) +(\d+) +(\d+) +(\d+)(.*)", re.DOTALL)

# The two loose parsers: trailing junk is ignored; kick also takes white space and a sign.
_TIMEOUT: Final = re.compile(rb" *(\d+)")
_KICK: Final = re.compile(rb"[ \t\n\v\f\r]*([+-]?)(\d+)")

_TUBE_NAME: Final = re.compile(rb"[A-Za-z0-9+/;.$_()][A-Za-z0-9+/;.$_()-]{0,199}")
_PAUSE: Final = re.compile(rb" *([A-Za-z0-9+/;.$_()-]+) +(\d+)")


def _no_control(text: bytes) -> None:
    """Refuse NUL and lone CR where junk is otherwise allowed."""
    if b"\0" in text or b"\r" in text:
        raise BadFormat


def _split_numbers(text: bytes, count: int) -> list[bytes]:
    """Split at spaces into so many decimal numbers: no signs, no tabs, no trailing space.

    (Half the time of a regular expression, in what is the greater part of reading a command.)
    """
    parts = text.split()
    if len(parts) != count or not text.replace(b" ", b"").isdigit() or text[-1] == _SPACE:
        raise BadFormat
    return parts


def put_numbers(text: bytes) -> tuple[int, int, int, int]:
    """Read ``<pri> <delay> <ttr> <bytes>``."""
    pri, delay, ttr, size = map(int, _split_numbers(text, 4))
    if pri > MAX_U32 or delay > MAX_U32 or ttr > MAX_U32 or size > MAX_U32:
        raise BadFormat
    return pri, delay, ttr, size


def size_before_junk(text: bytes) -> int:
    """Read the size out of a put's four numbers with something else behind them."""
    match = _PUT_WITH_JUNK.fullmatch(text)
    if match is None:
        raise BadFormat
    _no_control(match[5])
    numbers = [int(match[group]) for group in range(1, 5)]
    if max(numbers) > MAX_U32:
        raise BadFormat
    return numbers[3]


def job_id(text: bytes) -> int:
    """Read ``<id>``."""
    digits = text.lstrip(b" ")
    if not digits.isdigit():
        raise BadFormat
    number = int(digits)
    if number > MAX_U64:
        raise BadFormat
    return number


def id_and_priority(text: bytes) -> tuple[int, int]:
    """Read ``<id> <pri>``."""
    number, pri = map(int, _split_numbers(text, 2))
    if number > MAX_U64 or pri > MAX_U32:
        raise BadFormat
    return number, pri


def id_priority_delay(text: bytes) -> tuple[int, int, int]:
    """Read ``<id> <pri> <delay>``."""
    number, pri, delay = map(int, _split_numbers(text, 3))
    if number > MAX_U64 or pri > MAX_U32 or delay > MAX_U32:
        raise BadFormat
    return number, pri, delay


def timeout(text: bytes) -> int:
    """Read the seconds of reserve-with-timeout; trailing junk is ignored (beanstalkd 1.13)."""
    match = _TIMEOUT.match(text)
    if match is None or int(match[1]) > MAX_TIMEOUT_S:
        raise BadFormat
    _no_control(text)
    return int(match[1])


def kick_bound(text: bytes) -> int:
    """Read kick's number as C's strtoul does, cut to 32 bits: ``-1`` means 4294967295."""
    match = _KICK.match(text)
    if match is None:
        raise BadFormat
    _no_control(text)
    number = int(match[2])
    if number > MAX_U64:
        raise BadFormat
    return (-number if match[1] == b"-" else number) & MAX_U32


def tube_name(text: bytes) -> str:
    """Read a tube name: 1 to 200 bytes of ``A-Z a-z 0-9 - + / ; . $ _ ( )``, no ``-`` in front."""
    if _TUBE_NAME.fullmatch(text) is None:
        raise BadFormat
    return text.decode("ascii")


def name_and_seconds(text: bytes) -> tuple[bytes, int]:
    """Read pause-tube's ``<tube> <seconds>``; whether the name is a good one is not asked yet."""
    match = _PAUSE.fullmatch(text)
    if match is None or int(match[2]) > MAX_U32:
        raise BadFormat
    return match[1], int(match[2])
