"""What a conversation asks its client to do, beside exchanges; and how much at a time."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from stalkd_client.exchange import Exchange
from stalkd_client.pieces import pieces

T = TypeVar("T")

WINDOW: Final = 500
"""Puts sent together: their replies fit into the system's buffers many times over."""

WINDOW_BYTES: Final = 256 * 1024
"""... and at most so many bytes, but for one large body."""


@dataclass(slots=True)
class Connect:
    """Open a connection."""


@dataclass(slots=True)
class Send:
    """Send all of this; then let replies take so many seconds, None: as long as they like."""

    data: bytes
    patience: float | None


@dataclass(slots=True)
class ReceiveLines:
    """Return so many lines, without their CR LF."""

    count: int


@dataclass(slots=True)
class Sleep:
    """Do nothing for so many seconds."""

    seconds: float


@dataclass(slots=True)
class Close:
    """Close the connection."""


@dataclass(slots=True)
class Clock:
    """Return the time, in seconds from some instant on."""


Operation = Connect | Exchange | Send | ReceiveLines | Sleep | Close | Clock
Conversation = Generator[Operation, Any, T]


def windows(commands: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    """Give (commands, how many) in pieces that can be sent at once."""
    for piece in pieces(commands, WINDOW, len, WINDOW_BYTES):
        yield b"".join(piece), len(piece)
