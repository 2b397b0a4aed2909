"""Telling the service manager how it goes: datagrams to $NOTIFY_SOCKET, as in sd_notify(3)."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Final

from stalkd.broker.limits import NEVER
from stalkd.server.logs import event

if TYPE_CHECKING:
    import logging

ABSTRACT: Final = "@"
"""Stands for the zero byte with which an address begins that is no path."""

NS_PER_US: Final = 1_000

PATIENCE_S: Final = 0.5
"""How long a message may wait for a manager that takes none: nobody is served meanwhile."""

MOST_STATUS: Final = 200
"""Characters of a status: it is one line of ``systemctl status``."""

HINT: Final = "it goes on; a service of Type=notify is taken for one that never got ready"


class Notifier:
    """Sends messages to a manager; does nothing where there is none.

    ``beat_ns`` is how many nanoseconds may pass between two signs of life, NEVER if nobody waits
    for them: half of what the manager allows.
    """

    def __init__(self, address: str, watchdog_us: int, log: logging.Logger) -> None:
        """Send to a path, or to ``@`` and a name; to nobody if that is empty."""
        self.beat_ns: int = watchdog_us * NS_PER_US // 2 if address and watchdog_us else NEVER
        self._address = address
        self._log = log
        self._status = ""
        self._has_complained = False

    @property
    def is_heard(self) -> bool:
        """Whether there is a manager."""
        return bool(self._address)

    def ready(self, status: str) -> None:
        """Tell that the daemon serves."""
        self._tell(status, "READY=1")

    def stopping(self, status: str) -> None:
        """Tell that it has begun to end."""
        self._tell(status, "STOPPING=1")

    def busy(self, status: str, microseconds: int) -> None:
        """Tell that it goes on, and may need so much longer."""
        self._tell(status, f"EXTEND_TIMEOUT_USEC={microseconds}")

    def beat(self) -> None:
        """Tell that it is alive."""
        self._send("WATCHDOG=1")

    def status(self, status: str) -> None:
        """Tell how it is, unless that is what was told last."""
        if _line(status) != self._status:
            self._tell(status)

    def _tell(self, status: str, *assignments: str) -> None:
        self._status = _line(status)
        self._send(*assignments, f"STATUS={self._status}")

    def _send(self, *assignments: str) -> None:
        if not self._address:
            return
        try:
            _send(self._address, "\n".join(assignments))
        except OSError as error:
            self._complain(error.strerror or str(error))

    def _complain(self, reason: str) -> None:
        """Log the first failure; a manager that is restarted is back for the next message."""
        if not self._has_complained:
            self._has_complained = True
            about = {"socket": self._address, "reason": reason, "hint": HINT}
            self._log.warning(event("cannot_notify", **about))


def take_notifier(environment: MutableMapping[str, str], log: logging.Logger) -> Notifier:
    """Return what tells the manager named in an environment.

    The variables are removed: they are for this process alone, not for what it starts.
    """
    address = environment.pop("NOTIFY_SOCKET", "")
    text = environment.pop("WATCHDOG_USEC", "")
    pid = environment.pop("WATCHDOG_PID", "")
    is_ours = pid in {"", str(os.getpid())}
    watchdog_us = int(text) if is_ours and text.isascii() and text.isdigit() else 0
    return Notifier(address, watchdog_us, log)


def _line(text: str) -> str:
    """Return a status that is one line: a line feed would begin another message."""
    return " ".join(text.split())[:MOST_STATUS]


def _send(address: str, message: str) -> None:
    """Send one datagram. Raises OSError."""
    if address.startswith(ABSTRACT):
        address = "\0" + address[1:]
    elif not address.startswith("/"):
        raise OSError("it is neither a path from the root nor @ and a name")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect(os.fsencode(address))
        sock.send(message.encode("utf-8", "backslashreplace"))
