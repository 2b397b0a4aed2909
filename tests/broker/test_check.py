"""The checker finds what is wrong: each kind of damage that it is there for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stalkd.broker.broker import Broker
from stalkd.broker.check import BrokenInvariantError, check
from stalkd.broker.job import BURIED
from stalkd.broker.limits import NEVER
from support.core import Core


def busy_broker() -> Broker:
    """Return a broker with a job in each state and a client that waits."""
    core = Core()
    worker, waiter = core.connect(), core.connect()
    for delay in (0, 0, 0, 5):
        core.send(worker, b"put 0 %d 60 1\r\nx\r\n" % delay)
    core.send(worker, b"reserve-job 1\r\nreserve-job 2\r\nbury 2 0\r\n")
    core.send(waiter, b"watch a\r\nignore default\r\nreserve\r\n")
    return core.broker


def lose_a_job(broker: Broker) -> None:
    del broker.jobs[3]


def lose_a_place(broker: Broker) -> None:
    broker.directory.default.ready.pop_first()


def stand_in_two_places(broker: Broker) -> None:
    broker.directory.default.buried.add(broker.jobs[3].key)


def change_a_state(broker: Broker) -> None:
    broker.jobs[3].state = BURIED


def change_a_key(broker: Broker) -> None:
    broker.jobs[3].key += 1


def forget_a_holder(broker: Broker) -> None:
    broker.jobs[1].holder = None


def miscount(broker: Broker) -> None:
    broker.queues.reserved += 1


def miscount_in_a_tube(broker: Broker) -> None:
    broker.directory.default.urgent += 1


def forget_a_tube(broker: Broker) -> None:
    del broker.directory.tubes["a"]


def keep_a_tube(broker: Broker) -> None:
    broker.directory.tube("b")


def leave_a_waiter(broker: Broker) -> None:
    next(iter(broker.directory.tubes["a"].waiting)).wait_until = None


def ready_beside_waiter(broker: Broker) -> None:
    job = broker.jobs[3]
    broker.directory.default.ready.remove(job.key)
    job.tube = broker.directory.tubes["a"]
    job.tube.ready.add(job.key)


def oversleep(broker: Broker) -> None:
    broker.alarms.cancel(broker.directory.default)


def wrong_memory(broker: Broker) -> None:
    broker.memory += 1


def watch_nothing(broker: Broker) -> None:
    next(iter(broker.directory.clients)).watched.clear()


def lose_an_alarm(broker: Broker) -> None:
    broker.directory.default.alarm = NEVER


DAMAGE = [
    lose_a_job,
    lose_a_place,
    stand_in_two_places,
    change_a_state,
    change_a_key,
    forget_a_holder,
    miscount,
    miscount_in_a_tube,
    forget_a_tube,
    keep_a_tube,
    leave_a_waiter,
    ready_beside_waiter,
    oversleep,
    wrong_memory,
    watch_nothing,
    lose_an_alarm,
]


def test_sound() -> None:
    """A broker that nobody tampered with passes."""
    check(busy_broker())


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damage_is_found(damage: Callable[[Broker], None]) -> None:
    """Every single fault is noticed."""
    broker = busy_broker()
    damage(broker)
    with pytest.raises(BrokenInvariantError):
        check(broker)
