"""Looking for queues that match patterns: those that appear later are served, too."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from stalkd_client.client import Client
from stalkd_client.worker.logs import Log
from stalkd_client.worker.outage import Outage
from stalkd_client.worker.settings import expand, is_pattern
from stalkd_client.worker.slot import Slot

LOOK_S: Final = 2.0
"""How often: a new queue waits so long at most, and a server does not notice the question."""


class Scout:
    """Tells slots which queues there are, from a thread with a connection of its own."""

    def __init__(self, url: str | None, log: Log, outage: Outage) -> None:
        """Look for nothing yet. Raises ValueError."""
        self._slots: list[tuple[Slot, Sequence[str]]] = []
        self._is_needed = threading.Event()
        self._client = Client(url)
        self._log = log
        self._outage = outage

    def look_for(self, slot: Slot, names: Sequence[str]) -> None:
        """Tell a slot from now on what queues there are, if there are patterns among its names."""
        if any(map(is_pattern, names)):
            self._slots = [*self._slots, (slot, names)]  # The thread may be looking at the old one.
            self._is_needed.set()

    def start(self, end: threading.Event) -> None:
        """Look until the end, if there is anything to look for."""
        threading.Thread(target=self._run, args=(end,), daemon=True).start()

    def _run(self, end: threading.Event) -> None:
        self._is_needed.wait()
        while not end.is_set():
            try:
                self._look(self._client.list_tubes())
            except OSError as error:
                self._outage.begins(error)
            end.wait(LOOK_S)

    def _look(self, existing: Sequence[str]) -> None:
        for slot, names in self._slots:
            meant = expand(names, existing)
            if meant != slot.source.wanted:
                new = sorted(meant - slot.source.wanted)
                self._log.say("info", "queues", now=",".join(sorted(meant)), new=",".join(new))
                slot.source.want(meant)
