"""What all slots of a worker have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from stalkd_client.worker.settings import Settings
from stalkd_client.worker.slots.outage import Outage
from stalkd_client.worker.slots.pulse import Pulse
from stalkd_client.worker.slots.stopping import Stop
from stalkd_client.worker.slots.tally import Tally


@dataclass(slots=True)
class Name:
    """How the worker is called ``now``: where another one has that name, it gets another."""

    now: str


class Common(NamedTuple):
    """What is to be done, what was done, what has happened to the worker, and its name."""

    settings: Settings
    tally: Tally
    outage: Outage
    stop: Stop
    pulse: Pulse
    name: Name
