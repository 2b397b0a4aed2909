"""In a child: who takes jobs from the sockets, and runs them."""

from __future__ import annotations

import os
import socket
import threading
import traceback
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, NoReturn

from stalkd_client.worker import packets
from stalkd_client.worker.exits import EXIT_BUG
from stalkd_client.worker.inside.running import Runner
from stalkd_client.worker.inside.softlimit import in_main_thread, in_thread
from stalkd_client.worker.inside.ways import Now, at_once
from stalkd_client.worker.messages import Result, Work


class Ends(NamedTuple):
    """A slot's ends in the child: jobs come through ``jobs``, results go through ``results``."""

    jobs: socket.socket
    results: socket.socket

    def tell(self, result: Result) -> None:
        """Send a result. Raises OSError when the supervisor is gone."""
        packets.send(self.results, tuple(result))


def run(runner: Runner, slots: Sequence[Ends], soft: float | None) -> None:
    """Work until all slots are closed: in the main thread, or with several slots in as many."""
    if len(slots) == 1:
        serve(runner, slots[0], Now(in_main_thread(soft)))
        return
    way = Now(in_thread(soft))
    threads = [
        threading.Thread(target=partial(_serve_or_die, runner, ends, way), name=f"slot-{number}")
        for number, ends in enumerate(slots)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _serve_or_die(runner: Runner, ends: Ends, way: Now) -> None:
    try:
        serve(runner, ends, way)
    except BaseException:  # noqa: BLE001 - without a slot, its jobs would be held for ever
        die()


def die() -> NoReturn:
    """End this process, with the exception of now: the supervisor sees that, and goes on."""
    traceback.print_exc()
    os._exit(EXIT_BUG)


def serve(runner: Runner, ends: Ends, way: Now) -> None:
    """Run the jobs of one slot, one after the other, until it is closed."""
    while (message := packets.receive(ends.jobs)) is not None:
        ends.tell(at_once(runner.perform(Work(*message), ends.tell, way)))
