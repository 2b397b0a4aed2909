"""Reading the arguments of the extended commands: ``name=value``, and seconds with decimals.

Everything here raises BadFormat for what it does not accept, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from stalkd.broker.job import BURIED, DELAYED, READY, RESERVED, State
from stalkd.broker.limits import NS_PER_S
from stalkd.protocol.arguments import BadFormat, tube_name
from stalkd.protocol.limits import MAX_KEY, MAX_RATE, MAX_U32, MAX_U64

NS_PER_MS: Final = NS_PER_S // 1000

_FEW_DIGITS: Final = 10
"""Numbers of fewer digits are surely not too large."""

_DECIMAL: Final = re.compile(rb"(\d{1,10})(?:\.(\d{1,3}))?")
_KEY: Final = re.compile(rb"[!-~]{1,%d}" % MAX_KEY)

ALL: Final = (READY, DELAYED, BURIED, RESERVED)
STATES: Final[dict[bytes, tuple[State, ...]]] = {
    b"ready": (READY,),
    b"delayed": (DELAYED,),
    b"buried": (BURIED,),
    b"reserved": (RESERVED,),
    b"all": ALL,
}


def words(text: bytes, least: int, most: int) -> list[bytes]:
    """Split at spaces into so many words."""
    parts = [part for part in text.split(b" ") if part]
    if not least <= len(parts) <= most or text.endswith(b" "):
        raise BadFormat
    return parts


def number(text: bytes, most: int = MAX_U32) -> int:
    """Read a whole number up to ``most``."""
    if not text.isdigit() or (value := int(text)) > most:
        raise BadFormat
    return value


def job_number(text: bytes) -> int:
    """Read the id of a job."""
    return number(text, MAX_U64)


def thousandths(text: bytes) -> int:
    """Read a number with up to three decimals."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise BadFormat
    value = int(match[1]) * 1000 + int((match[2] or b"").ljust(3, b"0"))
    if value > MAX_U32 * 1000:  # Rounded up to whole seconds, it must still be a 32-bit number.
        raise BadFormat
    return value


def seconds(text: bytes) -> int:
    """Read seconds with up to three decimals; return nanoseconds."""
    if text.isdigit() and len(text) < _FEW_DIGITS:  # As most are.
        return int(text) * NS_PER_S
    return thousandths(text) * NS_PER_MS


def rate(text: bytes) -> int:
    """Read reserves per second; return thousandths."""
    value = thousandths(text)
    if value > MAX_RATE * 1000:
        raise BadFormat
    return value


def key(text: bytes) -> str:
    """Read a job's key: 1 to MAX_KEY printable bytes of ASCII, no spaces."""
    if _KEY.fullmatch(text) is None:
        raise BadFormat
    return text.decode("ascii")


def tube_or_none(text: bytes) -> str:
    """Read a tube's name, or nothing."""
    return tube_name(text) if text else ""


def flag(text: bytes) -> int:
    """Read 0 or 1."""
    return number(text, 1)


def states(text: bytes) -> tuple[State, ...]:
    """Read a job's state, or ``all``."""
    found = STATES.get(text)
    if found is None:
        raise BadFormat
    return found


Reader = Callable[[bytes], "int | str"]


def options(parts: list[bytes], readers: Mapping[bytes, Reader]) -> dict[str, int | str]:
    """Read ``name=value`` words, each name once at most, with the reader of that name."""
    found: dict[str, int | str] = {}
    for part in parts:
        name, equals, value = part.partition(b"=")
        reader = readers.get(name)
        word = name.decode("latin-1").replace("-", "_")
        if reader is None or not equals or word in found:
            raise BadFormat
        found[word] = reader(value)
    return found
