"""Who a worker is: its name, and what tells it from all others of that name."""

from __future__ import annotations

import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Final

from stalkd_client.arguments import check_tube
from stalkd_client.reports import MOST_NAME

INSTANCE_BYTES: Final = 8
"""So random that no two workers are ever the same."""

_FOREIGN: Final = re.compile(r"[^A-Za-z0-9.$_+-]")


@dataclass(frozen=True, slots=True)
class Identity:
    """``wanted`` is the name that it would have; ``started`` is in seconds since 1970."""

    wanted: str
    host: str
    pid: int
    started: float
    instance: str

    @classmethod
    def make(cls, name: str | None) -> Identity:
        """Return that of this process; without a name, it is made of host and process."""
        host, pid = socket.gethostname(), os.getpid()
        wanted = name or usual_name(host, pid)
        return cls(wanted, host, pid, round(time.time(), 3), secrets.token_hex(INSTANCE_BYTES))

    def names(self) -> Iterator[str]:
        """Give the names to be tried, the wanted one first; there is no end."""
        yield self.wanted
        for number in count(2):
            suffix = f"-{number}"
            yield self.wanted[: MOST_NAME - len(suffix)] + suffix


def usual_name(host: str, pid: int) -> str:
    """Return HOST-PID, made to fit the name of a tube."""
    suffix = f"-{pid}"
    fitting = _FOREIGN.sub("-", host).lstrip("-") or "worker"
    return fitting[: MOST_NAME - len(suffix)] + suffix


def version() -> str:
    """Return the version of what is installed. That takes a moment."""
    from importlib import metadata  # noqa: PLC0415 - it would delay the start

    try:
        return metadata.version("stalkd")
    except metadata.PackageNotFoundError:
        return ""


def check_name(name: str) -> None:
    """Raise ValueError for what cannot be a worker's name."""
    try:
        check_tube(name)
    except ValueError:
        raise ValueError(_refusal(name)) from None
    if len(name) > MOST_NAME:
        raise ValueError(_refusal(name))


def _refusal(name: str) -> str:
    return (
        f"{name!r} is no name for a worker: 1 to {MOST_NAME} of the characters"
        " A-Z a-z 0-9 - + / ; . $ _ ( ), no - in front"
    )
