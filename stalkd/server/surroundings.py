"""What ``stats`` shows of the process and of the machine."""

from __future__ import annotations

import os
import resource
import secrets
from collections.abc import Callable
from typing import Final

from stalkd import __version__

PROTOCOL_VERSION: Final = "1.13"
"""The release of beanstalkd whose protocol this is: clients ask for ``version`` to know what they
may send. The daemon's own version is under ``server``."""

Surroundings = Callable[[], tuple[dict[str, str | int], dict[str, str | int]]]


def surroundings() -> Surroundings:
    """Return a function that tells (about the process, about the machine)."""
    system = os.uname()
    machine: dict[str, str | int] = {
        "id": _instance_id(),
        "hostname": system.nodename,
        "os": system.version,
        "platform": system.machine,
        "server": f"stalkd {__version__}",
    }

    def tell() -> tuple[dict[str, str | int], dict[str, str | int]]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        process: dict[str, str | int] = {
            "pid": os.getpid(),
            "version": PROTOCOL_VERSION,
            "rusage-utime": f"{usage.ru_utime:.6f}",
            "rusage-stime": f"{usage.ru_stime:.6f}",
        }
        return process, machine

    return tell


def _instance_id() -> str:
    """Return 16 hexadecimal digits, beginning so that no YAML reader takes them for a number."""
    return secrets.choice("abcdf") + secrets.token_hex(8)[1:]
