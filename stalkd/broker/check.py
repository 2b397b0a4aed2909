"""What must be true of a broker between any two commands.

``check`` is for tests, which call it after every step, and for operators who suspect the daemon.
It looks at every job, tube and client once.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from stalkd.broker.fates import cost
from stalkd.broker.job import BURIED, DELAYED, READY, RESERVED, State
from stalkd.broker.limits import ID_BITS, ID_MASK, NEVER, URGENT_BELOW

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalkd.broker.broker import Broker
    from stalkd.broker.client import Client
    from stalkd.broker.job import Job
    from stalkd.broker.tube import Tube


class BrokenInvariantError(Exception):
    """The broker is in a state that no sequence of commands may lead to."""


def check(broker: Broker) -> None:
    """Verify every invariant. Raises BrokenInvariantError with all that is wrong."""
    faults = [
        *_places(broker),
        *_totals(broker),
        *(fault for tube in broker.directory.tubes.values() for fault in _tube(broker, tube)),
        *(fault for client in broker.directory.clients for fault in _client(broker, client)),
        *_watchers(broker),
        *_mentioned(broker),
        *_alarms(broker),
    ]
    if faults:
        raise BrokenInvariantError("; ".join(faults))


def _places(broker: Broker) -> Iterator[str]:
    """Each job is in exactly the place that its state names, under its key."""
    found: Counter[int] = Counter()
    for tube in broker.directory.tubes.values():
        for state, keys in ((READY, tube.ready), (DELAYED, tube.delayed), (BURIED, tube.buried)):
            found.update(keys)
            for key in keys:
                yield from _place(broker, key, state, tube)
    for client in broker.directory.clients:
        found.update(client.leases)
        for key in client.leases:
            yield from _place(broker, key, RESERVED, client)
    if len(found) != len(broker.jobs) or any(count > 1 for count in found.values()):
        yield f"{len(broker.jobs)} jobs exist, but {found.total()} places are taken"


def _place(broker: Broker, key: int, state: State, owner: Tube | Client) -> Iterator[str]:
    job = broker.jobs.get(key & ID_MASK)
    if job is None:
        yield f"job {key & ID_MASK} is {state} in {owner}, but does not exist"
    elif job.key != key or job.state is not state:
        yield f"{job} stands among the {state} ones of {owner}"
    elif owner is not (job.holder if state is RESERVED else job.tube):
        yield f"{job} stands in {owner}"
    elif (job.holder is not None) != (state is RESERVED):
        yield f"{job} has holder {job.holder}"


def _totals(broker: Broker) -> Iterator[str]:
    """The broker's counters equal what is counted."""
    queues, directory = broker.queues, broker.directory
    states = Counter(job.state for job in broker.jobs.values())
    clients = directory.clients
    waiting = sum(each.wait_until is not None and not each.awaits for each in clients)
    yield from _unequal(
        "broker",
        reserved=(queues.reserved, states[RESERVED]),
        delayed=(queues.delayed, states[DELAYED]),
        buried=(queues.buried, states[BURIED]),
        urgent=(queues.urgent, sum(map(_is_urgent, broker.jobs.values()))),
        waiting=(queues.waiting, waiting),
        producers=(directory.producers, sum(client.producer for client in directory.clients)),
        workers=(directory.workers, sum(client.worker for client in directory.clients)),
        memory=(broker.memory, sum(map(cost, broker.jobs.values()))),
    )


def _is_urgent(job: Job) -> bool:
    return job.state is READY and job.pri < URGENT_BELOW


def _unequal(owner: object, **pairs: tuple[object, object]) -> Iterator[str]:
    for name, (kept, counted) in pairs.items():
        if kept != counted:
            yield f"{name} of {owner} is {kept}, but {counted} when counted"


def _tube(broker: Broker, tube: Tube) -> Iterator[str]:
    jobs = [job for job in broker.jobs.values() if job.tube is tube]
    clients = broker.directory.clients
    yield from _unequal(
        tube,
        reserved=(tube.reserved, sum(job.state is RESERVED for job in jobs)),
        urgent=(tube.urgent, sum(map(_is_urgent, jobs))),
        using=(tube.using, sum(client.used is tube for client in clients)),
        watching=(tube.watching, sum(tube in client.watched for client in clients)),
    )
    kept = tube is broker.directory.default or tube.paused_until or tube.policy is not None
    if not (tube.using or tube.watching or jobs or kept):
        yield f"{tube} exists, but nothing refers to it"
    if tube.waiting and tube.ready.size and not tube.closed:
        yield f"{tube} has ready jobs and clients that wait for them"
    if tube.closed != (bool(tube.paused_until or tube.reopens) or tube.is_crowded()):
        yield f"{tube} is {'closed' if tube.closed else 'open'} for no reason"
    yield from _known(tube, jobs)
    for client in tube.waiting:
        if client.wait_until is None or client.awaits or tube not in client.watched:
            yield f"{tube} lists a client that does not wait for it"


def _known(tube: Tube, jobs: list[Job]) -> Iterator[str]:
    """Keys and times of expiry are those of the jobs there are."""
    termed = [(job, job.terms) for job in jobs if job.terms is not None]
    keys = {terms.key: job.id for job, terms in termed if terms.key}
    if len(keys) != sum(bool(terms.key) for _, terms in termed):
        yield f"{tube} has two jobs of the same key"
    if tube.keys != keys:
        yield f"{tube} knows keys {tube.keys}, but its jobs have {keys}"
    found = set(tube.expiring or ())
    for job, terms in termed:
        key = terms.expires << ID_BITS | job.id
        if terms.expires != NEVER and key not in found and job.holder is None:
            yield f"{job} is to expire, but will not"
        found.discard(key)
    if found:
        yield f"{len(found)} jobs are to expire in {tube} that do not, or are not there"


def _client(broker: Broker, client: Client) -> Iterator[str]:
    if not client.watched:
        yield f"{client} watches nothing"
    waits = client.wait_until is not None
    for tube in client.watched:
        if (client in tube.waiting) != (waits and not client.awaits):
            yield f"{client} and {tube} disagree whether it waits"
    if client.awaits and (not waits or client not in broker.queues.watchers[client.awaits]):
        yield f"{client} does not wait for job {client.awaits}"


def _watchers(broker: Broker) -> Iterator[str]:
    """Who is waited for lives, and who waits knows it."""
    for number, clients in broker.queues.watchers.items():
        if number not in broker.jobs or not clients:
            yield f"job {number} is waited for by {len(clients)}, but does not exist"
        if any(client.awaits != number for client in clients):
            yield f"job {number} is waited for by a client that does not"


def _mentioned(broker: Broker) -> Iterator[str]:
    """Every tube that a job or a client refers to is the one of that name."""
    mentioned = {job.tube for job in broker.jobs.values()}
    for client in broker.directory.clients:
        mentioned |= {client.used, *client.watched}
    for tube in mentioned:
        if broker.directory.tubes.get(tube.name) is not tube:
            yield f"{tube} is referred to, but does not exist"


def _alarms(broker: Broker) -> Iterator[str]:
    """Whoever has something due has an alarm that is not later."""
    clients = broker.directory.clients
    chores = [client.chore for client in clients if client.chore is not None]
    owners = [*broker.directory.tubes.values(), *clients, *chores]
    for owner in owners:
        if owner.alarm > owner.next_deadline():
            yield f"{owner} has something due before its alarm"
    known = sum(owner.alarm != NEVER for owner in owners)
    if known != len(broker.alarms):
        yield f"{len(broker.alarms)} alarms are set, but {known} owners have one"
