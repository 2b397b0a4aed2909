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

    def __init__(
        self,
        url: str | None,
        slots: Sequence[tuple[Slot, tuple[str, ...]]],
        log: Log,
        outage: Outage,
    ) -> None:
        """Look for the slots that have patterns."""
        self._slots = [(s, names) for s, names in slots if any(map(is_pattern, names))]
        self._client = Client(url)
        self._log = log
        self._outage = outage

    def start(self, end: threading.Event) -> None:
        """Look until the end, if there is anything to look for."""
        if self._slots:
            threading.Thread(target=self._run, args=(end,), daemon=True).start()

    def _run(self, end: threading.Event) -> None:
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
