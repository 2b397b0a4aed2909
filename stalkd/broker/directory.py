"""Which tubes and clients exist, and who uses and watches what.

A tube exists from its first mention by use or watch until nobody uses or watches it and no job in
any state belongs to it; then it is forgotten with its counters and pause. ``default`` stays.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from stalkd.broker.client import Client
from stalkd.broker.limits import DEFAULT_TUBE
from stalkd.broker.recorder import NO_RECORDER, Recorder
from stalkd.broker.tube import Tube

if TYPE_CHECKING:
    from stalkd.broker.alarms import Alarms


class Directory:
    """The tubes by name, in order of their making, and the connected clients."""

    def __init__(self, alarms: Alarms) -> None:
        """Start with nothing but the default tube."""
        self._alarms = alarms
        self._serials = count()
        self.default = Tube(DEFAULT_TUBE, next(self._serials))
        self.tubes: dict[str, Tube] = {DEFAULT_TUBE: self.default}
        self.clients: dict[Client, None] = {}
        self.total_clients = 0
        self.recorder: Recorder = NO_RECORDER
        self.producers = 0
        self.workers = 0

    def new_serial(self) -> int:
        """Return a number for an owner of alarms. None is used twice."""
        return next(self._serials)

    def enter(self, peer: str = "") -> Client:
        """Return a new client, which uses and watches the default tube; ``peer`` is where it is."""
        client = Client(self.default, next(self._serials))
        client.peer = peer
        self.default.using += 1
        self.default.watching += 1
        self.clients[client] = None
        self.total_clients += 1
        return client

    def leave(self, client: Client) -> None:
        """Forget a client that neither holds jobs nor waits."""
        self._alarms.cancel(client)
        del self.clients[client]
        self.producers -= client.producer
        self.workers -= client.worker
        client.used.using -= 1
        self.drop_if_unused(client.used)
        for tube in client.watched:
            tube.watching -= 1
            self.drop_if_unused(tube)

    def mark_producer(self, client: Client) -> None:
        """Count a client as a producer, from its first put on."""
        if not client.producer:
            client.producer = True
            self.producers += 1

    def mark_worker(self, client: Client) -> None:
        """Count a client as a worker, from its first reserve on."""
        if not client.worker:
            client.worker = True
            self.workers += 1

    def use(self, client: Client, name: str) -> None:
        """Make a tube the target of the client's puts."""
        tube = self.tube(name)
        tube.using += 1
        client.used.using -= 1
        self.drop_if_unused(client.used)
        client.used = tube

    def watch(self, client: Client, name: str) -> int:
        """Let the client reserve also from a tube; return how many it watches."""
        tube = self.tube(name)
        if tube not in client.watched:
            tube.watching += 1
            client.watched[tube] = None
        return len(client.watched)

    def ignore(self, client: Client, name: str) -> int | None:
        """Stop watching a tube; return how many remain, None (and no change) if it is the last."""
        tube = self.tubes.get(name)
        if tube is None or tube not in client.watched:
            return len(client.watched)
        if len(client.watched) == 1:
            return None
        del client.watched[tube]
        tube.watching -= 1
        self.drop_if_unused(tube)
        return len(client.watched)

    def tube(self, name: str) -> Tube:
        """Return the tube of that name, made if missing."""
        tube = self.tubes.get(name)
        if tube is None:
            tube = self.tubes[name] = Tube(name, next(self._serials))
        return tube

    def drop_if_unused(self, tube: Tube) -> None:
        """Forget a tube that nobody refers to any more."""
        if tube.using or tube.watching or tube is self.default or tube.has_jobs():
            return
        if tube.policy is not None:
            return
        if self.tubes.get(tube.name) is tube:
            del self.tubes[tube.name]
            self._alarms.cancel(tube)
            if tube.paused_until:
                tube.paused_until = 0
                self.recorder.paused(tube)
