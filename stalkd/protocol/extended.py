"""The commands that go beyond Beanstalk's, but for put-with, which has a body."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from stalkd.broker import chores, inspection, policies, watching
from stalkd.broker.choice import take_more
from stalkd.broker.client import Count, Outcome
from stalkd.broker.job import BURIED, DELAYED, READY, Job
from stalkd.broker.limits import NS_PER_S
from stalkd.broker.policy import NO_POLICY, Policy
from stalkd.protocol import options as read
from stalkd.protocol import replies
from stalkd.protocol.arguments import BadFormat, tube_name
from stalkd.protocol.commands import give_answer, reserve_until
from stalkd.protocol.limits import (
    MAX_OPTIONS,
    MAX_TIMEOUT_S,
    MOST_BATCH,
    MOST_LISTED,
    OUTPUT_HIGH_WATER,
)

if TYPE_CHECKING:
    from stalkd.broker.broker import Broker
    from stalkd.broker.queues import Answer
    from stalkd.broker.tube import Tube
    from stalkd.protocol.commands import Command, Give
    from stalkd.protocol.options import Reader
    from stalkd.protocol.session import Session

POLICY_OPTIONS: Final[dict[bytes, Reader]] = {
    b"attempts": read.number,
    b"dead": read.tube_or_none,
    b"ttl": read.seconds,
    b"max-jobs": read.number,
    b"rate": read.rate,
    b"concurrency": read.number,
    b"ageing": read.thousandths,
}

END_REPLIES: Final = {
    Outcome.DELETED: replies.DELETED,
    Outcome.BURIED: replies.BURIED,
    Outcome.GONE: replies.NOT_FOUND,
    Outcome.TIMED_OUT: replies.TIMED_OUT,
}


def _timeout(text: bytes) -> int:
    """Read a timeout in seconds; return nanoseconds."""
    nanoseconds = read.seconds(text)
    if nanoseconds > MAX_TIMEOUT_S * NS_PER_S:
        raise BadFormat
    return nanoseconds


def _tube(session: Session, text: bytes) -> Tube | None:
    """Return the tube of that name; reply NOT_FOUND if there is none."""
    tube = session.broker.directory.tubes.get(tube_name(text))
    if tube is None:
        session.reply(replies.NOT_FOUND)
    return tube


# -- consumers ------------------------------------------------------------------------------------


def reserve_batch(session: Session, args: bytes, now: int) -> None:
    """Take up to so many of the most urgent jobs, waiting for the first."""
    most, timeout = read.words(args, 2, 2)
    count, wait_until = read.number(most), now + _timeout(timeout)
    if not count:
        raise BadFormat
    give = partial(_give_batch, most=min(count, MOST_BATCH))
    reserve_until(session, wait_until, now, give)


def _give_batch(session: Session, answer: Answer, now: int, most: int) -> None:
    """Send the job that was waited for, and others that are ready."""
    if not isinstance(answer, Job):
        give_answer(session, answer, now)
        return
    client, more = session.client, list[Job]()
    if answer.holder is client:  # If its lease has ended again meanwhile, it may be the next.
        room = OUTPUT_HIGH_WATER - len(answer.body)
        more = take_more(session.broker, client, most - 1, room, now)
    session.reply_large(replies.reserved_batch([answer, *more]))


def touch_for(session: Session, args: bytes, now: int) -> None:
    """Let a lease end so many seconds from now."""
    job_id, seconds = read.words(args, 2, 2)
    lease_ends = now + read.seconds(seconds)
    touched = session.broker.touch_for(session.client, read.job_number(job_id), lease_ends)
    session.reply(replies.TOUCHED if touched else replies.NOT_FOUND)


def wait_job(session: Session, args: bytes, now: int) -> None:
    """Wait for the end of a job."""
    job_id, timeout = read.words(args, 2, 2)
    number, wait_until = read.job_number(job_id), now + _timeout(timeout)
    if session.impatient:
        wait_until = now
    outcome = watching.wait_job(session.broker, session.client, number, wait_until, now)
    if outcome is None:
        session.reply(replies.NOT_FOUND)
    else:
        _wait_or(session, _give_end, outcome, now)


def _give_end(session: Session, answer: Answer, _now: int) -> None:
    if isinstance(answer, Outcome):
        session.reply(END_REPLIES[answer])


def _wait_or(session: Session, give: Give, answer: Answer, now: int) -> None:
    """Give an answer; or, if there is none yet, wait for it."""
    if answer is Outcome.WAITING:
        session.stopped = True
        session.give = give
    else:
        give(session, answer, now)


# -- many jobs at once ----------------------------------------------------------------------------


def _chore(session: Session, word: bytes, answer: Count | Outcome | None, now: int) -> None:
    """Reply with a count, when all is done."""
    if answer is None:
        session.reply(replies.NOT_FOUND)
    else:
        _wait_or(session, partial(_give_count, word=word), answer, now)


def _give_count(session: Session, answer: Answer, _now: int, word: bytes) -> None:
    if isinstance(answer, Count):
        session.reply(b"%b %d\r\n" % (word, answer.number))


def purge_tube(session: Session, args: bytes, now: int) -> None:
    """Delete all jobs of a tube that are in a state."""
    name, state = read.words(args, 2, 2)
    tube, states = tube_name(name), read.states(state)
    answer = chores.purge(session.broker, session.client, tube, states, now)
    _chore(session, b"PURGED", answer, now)


def release_tube(session: Session, args: bytes, now: int) -> None:
    """End all leases of a tube's jobs."""
    answer = chores.release(session.broker, session.client, tube_name(args), now)
    _chore(session, b"RELEASED", answer, now)


def move_jobs(session: Session, args: bytes, now: int) -> None:
    """Put jobs of one tube into another."""
    name, state, target, most = read.words(args, 4, 4)
    source, goal = tube_name(name), tube_name(target)
    (first, *others), count = read.states(state), read.number(most)
    if others or first not in {READY, DELAYED, BURIED}:
        raise BadFormat
    # What was moved may take more room in the log.
    if session.broker.is_full or not session.shared.log_has_room():
        session.reply(replies.OUT_OF_MEMORY)
        return
    answer = chores.move(session.broker, session.client, source, first, goal, count, now)
    _chore(session, b"MOVED", answer, now)


# -- policies -------------------------------------------------------------------------------------


def set_policy(session: Session, args: bytes, now: int) -> None:
    """Change what holds for a tube."""
    name, *parts = read.words(args, 2, 1 + MAX_OPTIONS)
    tube, found = tube_name(name), read.options(parts, POLICY_OPTIONS)
    old = _policy(session.broker, tube) or NO_POLICY
    policies.decide(session.broker, tube, replace(old, **found), now)  # type: ignore[arg-type]
    session.reply(replies.POLICY_SET)


def get_policy(session: Session, args: bytes, _now: int) -> None:
    """Show what holds for a tube."""
    tube = _tube(session, args)
    if tube is not None:
        policy = tube.policy or NO_POLICY
        names = (name.decode() for name in POLICY_OPTIONS)
        shown = {name: getattr(policy, name.replace("-", "_")) for name in names}
        shown["ttl"] = inspection.milliseconds(policy.ttl)
        shown["rate"] = policy.rate / 1000
        shown["ageing"] = policy.ageing / 1000
        session.reply_large(replies.document(replies.entries(shown)))


def _policy(broker: Broker, name: str) -> Policy | None:
    tube = broker.directory.tubes.get(name)
    return tube.policy if tube is not None else None


# -- looking --------------------------------------------------------------------------------------


def list_jobs(session: Session, args: bytes, now: int) -> None:
    """List jobs of a tube by id, a page at a time."""
    name, state, after, limit = read.words(args, 4, 4)
    states, start = read.states(state), read.job_number(after)
    count = min(read.number(limit), MOST_LISTED)
    if not count:
        raise BadFormat
    tube = _tube(session, name)
    if tube is not None:
        jobs, more = inspection.page(session.broker, tube, states, start, count)
        items = [inspection.describe(job, now) for job in jobs]
        text = replies.entries({"next": more}) + replies.items("jobs", items)
        session.reply_large(replies.document(text))


def explain_job(session: Session, args: bytes, now: int) -> None:
    """Tell why a job is not running."""
    job = session.broker.jobs.get(read.job_number(args))
    if job is None:
        session.reply(replies.NOT_FOUND)
        return
    values, reasons = inspection.explain(session.broker, job, now)
    text = replies.entries(values) + replies.strings("reasons", reasons)
    session.reply_large(replies.document(text))


def stats_tubes(session: Session, _args: bytes, now: int) -> None:
    """Tell about all tubes."""
    broker = session.broker
    tubes = broker.directory.tubes.values()
    items = [inspection.tube_summary(broker, tube, now) for tube in tubes]
    session.reply_large(replies.document(replies.items("tubes", items)))


def list_clients(session: Session, _args: bytes, now: int) -> None:
    """Tell about all connections."""
    items = []
    for client in session.broker.directory.clients:
        values: dict[str, Any] = {**inspection.client_summary(client, now)}
        values["watches"] = [tube.name for tube in client.watched]
        values["held-jobs"] = inspection.held_ids(client)
        items.append(values)
    session.reply_large(replies.document(replies.items("clients", items)))


def drain(session: Session, args: bytes, _now: int) -> None:
    """Take no more jobs, or take them again."""
    if args not in {b"on", b"off"}:
        raise BadFormat
    shared = session.shared
    shared.draining = args == b"on" or shared.log_lost
    session.reply(replies.DRAINING if shared.draining else replies.ACCEPTING)


HEAVY: Final = frozenset(
    f"cmd-{name}"
    for name in (
        *("list-jobs", "explain-job", "stats-tubes", "list-clients"),
        *("purge-tube", "release-tube", "move-jobs", "set-policy"),
    )
)
"""Commands that may take as long as hundreds of plain ones."""

HEAVY_PER_TURN: Final = 8
"""So many of them, and the others have their turn: some ten milliseconds."""


def _counted(commands: dict[bytes, Command]) -> dict[bytes, Command]:
    """Return the same commands, which ``stats`` counts."""
    return {name: _count(f"cmd-{name.decode()}", command) for name, command in commands.items()}


def _count(key: str, command: Command) -> Command:
    is_heavy = key in HEAVY

    def run(session: Session, args: bytes, now: int) -> None:
        session.shared.extended_counts[key] += 1
        command(session, args, now)
        if is_heavy:
            session.heavies += 1
            if session.heavies == HEAVY_PER_TURN:
                session.heavies = 0
                session.restrain()

    return run


BARE: Final = _counted({b"stats-tubes": stats_tubes, b"list-clients": list_clients})
"""Commands that stand alone on their line."""

WITH_ARGUMENTS: Final = _counted(
    {
        b"reserve-batch": reserve_batch,
        b"touch-for": touch_for,
        b"wait-job": wait_job,
        b"list-jobs": list_jobs,
        b"explain-job": explain_job,
        b"purge-tube": purge_tube,
        b"release-tube": release_tube,
        b"move-jobs": move_jobs,
        b"set-policy": set_policy,
        b"get-policy": get_policy,
        b"drain": drain,
    }
)
"""Commands behind whose name a space follows."""

NAMES: Final = (b"put-with", *BARE, *WITH_ARGUMENTS)
"""All of them: their lines may be longer than Beanstalk's."""
