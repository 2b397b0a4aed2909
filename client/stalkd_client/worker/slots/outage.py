"""The server is away: said once, not by each slot, and not for each attempt."""

from __future__ import annotations

import threading

from stalkd_client.worker.logs import Log


class Outage:
    """Whether the server is away, as far as all slots know."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._is_away = False

    def begins(self, error: OSError) -> None:
        """A connection has failed."""
        with self._lock:
            if not self._is_away:
                self._is_away = True
                self._log.say("warning", "server-away", error=error, hint="trying again")

    def is_over(self) -> None:
        """A command was answered."""
        if self._is_away:
            with self._lock:
                if self._is_away:
                    self._is_away = False
                    self._log.say("info", "server-back")
