"""Telling the service manager how it goes: datagrams to $NOTIFY_SOCKET, as in sd_notify(3)."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Callable, MutableMapping
from typing import Final

from stalkd_client.worker.logs import Log

ABSTRACT: Final = "@"
"""Stands for the zero byte with which an address begins that is no path."""

US_PER_S: Final = 1_000_000

PATIENCE_S: Final = 0.5
"""How long a message may wait for a manager that takes none."""

STATUS_S: Final = 5.0
"""Between two that only count on: who looks at a status wants to see it move, nobody reads all."""

HINT: Final = "it goes on; a service of Type=notify is taken for one that never got ready"

STARTING: Final = "starting"
STOPPING: Final = "stopping"


class Notifier:
    """Sends messages to a manager; does nothing where there is none. For the main thread only.

    ``beat_s`` is how many seconds may pass between two signs of life, infinity if nobody waits for
    them: half of what the manager allows.
    """

    def __init__(self, address: str, watchdog_us: int, log: Log) -> None:
        """Send to a path, or to ``@`` and a name; to nobody if that is empty."""
        self.beat_s: float = watchdog_us / US_PER_S / 2 if address and watchdog_us else math.inf
        self._address = address
        self._log = log
        self._state = ""
        self._status = ""
        self._status_at = 0.0
        self._beat_at = 0.0 if self.beat_s < math.inf else math.inf
        self._was_ready = False
        self._has_complained = False

    def look(self, now: float, state: str, count: Callable[[], str]) -> None:
        """Tell what is new at this time of a monotonic clock, and that the worker is alive.

        ``state`` is as in reports; ``count`` returns what else is to be said.
        """
        if not self._address:
            return
        if state != self._state:
            self._enter(state)
            self._status_at = now
        if now >= self._status_at:
            self._status_at = now + STATUS_S
            self._tell(f"{state}: {count()}")
        if now >= self._beat_at:
            self._beat_at = now + self.beat_s
            self._send("WATCHDOG=1")

    def _enter(self, state: str) -> None:
        """Tell of a state that means something to a manager."""
        self._state = state
        if state == STOPPING:
            self._send("STOPPING=1")
        elif state != STARTING and not self._was_ready:
            self._was_ready = True
            self._send("READY=1")

    def _tell(self, status: str) -> None:
        if status != self._status:
            self._status = status
            self._send(f"STATUS={status}")

    def _send(self, assignment: str) -> None:
        try:
            _send(self._address, assignment)
        except OSError as error:
            self._complain(error.strerror or str(error))

    def _complain(self, reason: str) -> None:
        """Log the first failure; a manager that is restarted is back for the next message."""
        if not self._has_complained:
            self._has_complained = True
            self._log.say(
                "warning", "cannot-notify", socket=self._address, reason=reason, hint=HINT
            )


def take_notifier(environment: MutableMapping[str, str], log: Log) -> Notifier:
    """Return what tells the manager named in an environment.

    The variables are removed: they are for this process alone, and handlers start programs.
    """
    address = environment.pop("NOTIFY_SOCKET", "")
    text = environment.pop("WATCHDOG_USEC", "")
    pid = environment.pop("WATCHDOG_PID", "")
    is_ours = pid in {"", str(os.getpid())}
    watchdog_us = int(text) if is_ours and text.isascii() and text.isdigit() else 0
    return Notifier(address, watchdog_us, log)


def _send(address: str, message: str) -> None:
    """Send one datagram. Raises OSError."""
    if address.startswith(ABSTRACT):
        address = "\0" + address[1:]
    elif not address.startswith("/"):
        raise OSError("it is neither a path from the root nor @ and a name")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect(os.fsencode(address))
        sock.send(message.encode())
