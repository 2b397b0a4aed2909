"""Looking at the queues: which there are that match patterns, and how much waits in them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

from stalkd_client import beyond, requests
from stalkd_client.client import Client
from stalkd_client.documents import Mapping
from stalkd_client.errors import StalkdError, UnsupportedByServerError
from stalkd_client.worker.crews.scaling import Load
from stalkd_client.worker.logs import Log
from stalkd_client.worker.settings import expand, is_pattern
from stalkd_client.worker.slots.outage import Outage
from stalkd_client.worker.slots.slot import Slot

LOOK_S: Final = 2.0
"""How often: a new queue waits so long at most, and a server does not notice the question."""

MEASURE_S: Final = 0.5
"""... where somebody must know how much waits: so much later a worker of no process begins."""


class Scout:
    """Tells what there is, from a thread with a connection of its own.

    ``loads`` is what waits in each queue, once somebody needs it.
    """

    def __init__(self, url: str | None, log: Log, outage: Outage) -> None:
        """Look for nothing yet. Raises ValueError."""
        self.loads: dict[str, Load] = {}
        self._slots: list[tuple[Slot, Sequence[str]]] = []
        self._names: frozenset[str] = frozenset()
        self._told: Callable[[], None] | None = None
        self._is_needed = threading.Event()
        self._client = Client(url)
        self._log = log
        self._outage = outage

    def look_for(self, slot: Slot, names: Sequence[str]) -> None:
        """Tell a slot from now on what queues there are, if there are patterns among its names."""
        self._names |= frozenset(names)
        if any(map(is_pattern, names)):
            self._slots = [*self._slots, (slot, names)]  # The thread may be looking at the old one.
            self._is_needed.set()

    def measure(self, told: Callable[[], None]) -> None:
        """Know from now on how much waits; ``told`` is called, by the thread, after each look."""
        self._told = told
        self._is_needed.set()

    def load_of(self, names: Sequence[str]) -> Load:
        """Return what waits in all these queues together."""
        loads = self.loads
        found = [loads[name] for name in expand(names, list(loads)) if name in loads]
        return Load(sum(each.waiting for each in found), max((e.oldest for e in found), default=0))

    def waiting_in(self, names: Sequence[str]) -> dict[str, int]:
        """Return how many jobs wait in each of these queues, as far as that is known."""
        loads = self.loads
        return {name: loads[name].waiting for name in expand(names, list(loads)) if name in loads}

    def start(self, end: threading.Event) -> None:
        """Look until the end, if there is anything to look for."""
        threading.Thread(target=self._run, args=(end,), daemon=True).start()

    def _run(self, end: threading.Event) -> None:
        self._is_needed.wait()
        while not end.is_set():
            try:
                self._look()
            except OSError as error:
                self._outage.begins(error)
            end.wait(LOOK_S if self._told is None else MEASURE_S)

    def _look(self) -> None:
        existing: Sequence[str] = ()
        if self._told is not None:
            self.loads = self._measured()
            existing = list(self.loads)
            self._told()
        elif self._slots:
            existing = self._client.list_tubes()
        for slot, names in self._slots:
            meant = expand(names, existing)
            if meant != slot.source.wanted:
                new = sorted(meant - slot.source.wanted)
                self._log.say("info", "queues", now=",".join(sorted(meant)), new=",".join(new))
                slot.source.want(meant)

    def _measured(self) -> dict[str, Load]:
        """Ask for what waits: one question to stalkd, one for each queue to others."""
        try:
            told = self._client.execute(beyond.stats_tubes())
        except UnsupportedByServerError:
            names = expand(sorted(self._names), self._client.list_tubes())
            answers = self._client.execute_all([requests.stats_tube(name) for name in names])
            told = [each for each in answers if not isinstance(each, StalkdError)]
        return {str(each["name"]): _load(each) for each in told}


def _load(told: Mapping) -> Load:
    if int(str(told.get("pause-time-left", 0))):
        return Load()  # Nobody would get these.
    waiting = int(str(told["current-jobs-ready"]))
    return Load(waiting, float(str(told.get("oldest-ready-age", 0))))
