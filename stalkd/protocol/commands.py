"""What each command does: read its arguments, count it, ask the broker once, reply.

No rule about jobs stands here. ``put`` is in ``puts``, because it alone has a body.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from stalkd.broker.client import Outcome
from stalkd.broker.job import Job
from stalkd.broker.limits import ID_MASK, NEVER, NS_PER_S
from stalkd.broker.statistics import (
    current_connections,
    current_jobs,
    job_statistics,
    tube_statistics,
)
from stalkd.protocol import arguments, replies
from stalkd.protocol.session import Session

if TYPE_CHECKING:
    from stalkd.broker.queues import Answer
    from stalkd.broker.sortedkeys import SortedKeys

Give = Callable[[Session, "Answer", int], None]
"""(session, what it has waited for, now): sends that"""

Command = Callable[[Session, bytes, int], None]
"""(session, text behind the name and one space, now)"""

STANDARD_JOURNAL_KEYS: Final = (
    "binlog-oldest-index",
    "binlog-current-index",
    "binlog-records-migrated",
    "binlog-records-written",
)
"""What ``stats`` says of the log in beanstalkd, too; 0 without a log."""

OUTCOME_REPLIES: Final = {
    Outcome.TIMED_OUT: replies.TIMED_OUT,
    Outcome.DEADLINE_SOON: replies.DEADLINE_SOON,
}


# -- consumers ------------------------------------------------------------------------------------


def reserve(session: Session, _args: bytes, now: int) -> None:
    """Take the most urgent job, waiting for one without limit."""
    session.counts["cmd-reserve"] += 1
    reserve_until(session, NEVER, now)


def reserve_with_timeout(session: Session, args: bytes, now: int) -> None:
    """Take the most urgent job, waiting for one some seconds at most."""
    seconds = arguments.timeout(args)
    session.counts["cmd-reserve-with-timeout"] += 1
    reserve_until(session, now + seconds * NS_PER_S, now)


def reserve_until(session: Session, wait_until: int, now: int, give: Give | None = None) -> None:
    """Take the most urgent job, or wait for one; ``give`` sends it, ``give_answer`` if None."""
    client = session.client
    if not client.worker:
        session.broker.directory.mark_worker(client)
    if session.impatient:
        wait_until = now
    answer = session.broker.reserve(client, wait_until, now)
    if answer is Outcome.WAITING:
        session.stopped = True
        session.give = give
    elif give is None:
        give_answer(session, answer, now)
    else:
        give(session, answer, now)


def give_answer(session: Session, answer: Answer, _now: int) -> None:
    """Send what a reserve came to."""
    if isinstance(answer, Job):
        session.reply_large(replies.reserved(answer))
    elif isinstance(answer, Outcome):
        session.reply(OUTCOME_REPLIES[answer])


def reserve_job(session: Session, args: bytes, now: int) -> None:
    """Take one job by its id."""
    job = session.broker.reserve_job(session.client, arguments.job_id(args), now)
    if job is None:
        session.reply(replies.NOT_FOUND)
        return
    session.broker.directory.mark_worker(session.client)
    session.reply_large(replies.reserved(job))


def delete(session: Session, args: bytes, now: int) -> None:
    """Delete a job."""
    number = arguments.job_id(args)
    session.counts["cmd-delete"] += 1
    deleted = session.broker.delete(session.client, number, now)
    session.reply(replies.DELETED if deleted else replies.NOT_FOUND)


def release(session: Session, args: bytes, now: int) -> None:
    """Give a held job back."""
    number, pri, delay = arguments.id_priority_delay(args)
    session.counts["cmd-release"] += 1
    released = session.broker.release(session.client, number, pri, delay, now)
    session.reply(replies.RELEASED if released else replies.NOT_FOUND)


def bury(session: Session, args: bytes, now: int) -> None:
    """Put a held job aside."""
    number, pri = arguments.id_and_priority(args)
    session.counts["cmd-bury"] += 1
    buried = session.broker.bury(session.client, number, pri, now)
    session.reply(replies.BURIED if buried else replies.NOT_FOUND)


def touch(session: Session, args: bytes, now: int) -> None:
    """Ask for more time."""
    number = arguments.job_id(args)
    session.counts["cmd-touch"] += 1
    touched = session.broker.touch(session.client, number, now)
    session.reply(replies.TOUCHED if touched else replies.NOT_FOUND)


def watch(session: Session, args: bytes, _now: int) -> None:
    """Reserve also from a tube."""
    name = arguments.tube_name(args)
    session.counts["cmd-watch"] += 1
    session.reply(replies.watching(session.broker.directory.watch(session.client, name)))


def ignore(session: Session, args: bytes, _now: int) -> None:
    """Reserve no more from a tube."""
    name = arguments.tube_name(args)
    session.counts["cmd-ignore"] += 1
    count = session.broker.directory.ignore(session.client, name)
    session.reply(replies.NOT_IGNORED if count is None else replies.watching(count))


# -- producers and everybody ----------------------------------------------------------------------


def use(session: Session, args: bytes, _now: int) -> None:
    """Put into a tube from now on."""
    name = arguments.tube_name(args)
    session.counts["cmd-use"] += 1
    session.broker.directory.use(session.client, name)
    session.reply(replies.using(name))


def kick(session: Session, args: bytes, now: int) -> None:
    """Make buried or delayed jobs of the tube in use ready."""
    bound = arguments.kick_bound(args)
    session.counts["cmd-kick"] += 1
    session.reply(replies.kicked(session.broker.kick(session.client.used, bound, now)))


def kick_job(session: Session, args: bytes, now: int) -> None:
    """Make one buried or delayed job ready."""
    kicked = session.broker.kick_job(arguments.job_id(args), now)
    session.reply(replies.KICKED if kicked else replies.NOT_FOUND)


def pause_tube(session: Session, args: bytes, now: int) -> None:
    """Let nobody reserve from a tube for some seconds."""
    name, seconds = arguments.name_and_seconds(args)
    session.counts["cmd-pause-tube"] += 1
    paused = session.broker.pause(arguments.tube_name(name), seconds, now)
    session.reply(replies.PAUSED if paused else replies.NOT_FOUND)


def end_session(session: Session, _args: bytes, _now: int) -> None:
    """Close the connection once everything before has been answered."""
    session.closing = session.stopped = True


# -- looking --------------------------------------------------------------------------------------


def peek(session: Session, args: bytes, _now: int) -> None:
    """Show a job by its id."""
    number = arguments.job_id(args)
    session.counts["cmd-peek"] += 1
    _show(session, session.broker.jobs.get(number))


def peek_ready(session: Session, _args: bytes, _now: int) -> None:
    """Show the job of the tube in use that would be reserved first."""
    session.counts["cmd-peek-ready"] += 1
    _show_first(session, session.client.used.ready)


def peek_delayed(session: Session, _args: bytes, _now: int) -> None:
    """Show the job of the tube in use whose delay ends first."""
    session.counts["cmd-peek-delayed"] += 1
    _show_first(session, session.client.used.delayed)


def peek_buried(session: Session, _args: bytes, _now: int) -> None:
    """Show the job of the tube in use that was buried first."""
    session.counts["cmd-peek-buried"] += 1
    _show_first(session, session.client.used.buried)


def _show_first(session: Session, place: SortedKeys) -> None:
    _show(session, session.broker.jobs[place.first() & ID_MASK] if place.size else None)


def _show(session: Session, job: Job | None) -> None:
    if job is None:
        session.reply(replies.NOT_FOUND)
    else:
        session.reply_large(replies.found(job))


def list_tubes(session: Session, _args: bytes, _now: int) -> None:
    """List the tubes that exist."""
    session.counts["cmd-list-tubes"] += 1
    session.reply_large(replies.listing(session.broker.directory.tubes))


def list_tube_used(session: Session, _args: bytes, _now: int) -> None:
    """Name the tube in use."""
    session.counts["cmd-list-tube-used"] += 1
    session.reply(replies.using(session.client.used.name))


def list_tubes_watched(session: Session, _args: bytes, _now: int) -> None:
    """List the tubes that are watched."""
    session.counts["cmd-list-tubes-watched"] += 1
    session.reply_large(replies.listing(tube.name for tube in session.client.watched))


def stats_job(session: Session, args: bytes, now: int) -> None:
    """Tell about a job."""
    number = arguments.job_id(args)
    session.counts["cmd-stats-job"] += 1
    job = session.broker.jobs.get(number)
    if job is None:
        session.reply(replies.NOT_FOUND)
    else:
        session.reply_large(replies.mapping(job_statistics(job, now)))


def stats_tube(session: Session, args: bytes, now: int) -> None:
    """Tell about a tube."""
    name = arguments.tube_name(args)
    session.counts["cmd-stats-tube"] += 1
    tube = session.broker.directory.tubes.get(name)
    if tube is None:
        session.reply(replies.NOT_FOUND)
    else:
        session.reply_large(replies.mapping(tube_statistics(tube, now)))


def stats(session: Session, _args: bytes, now: int) -> None:
    """Tell about the daemon."""
    session.counts["cmd-stats"] += 1
    shared = session.shared
    process, machine = shared.surroundings()
    journal = shared.journal.statistics() if shared.journal is not None else {}
    values: dict[str, str | int | bool] = {
        **current_jobs(shared.broker),
        **shared.counts,
        "job-timeouts": shared.broker.timeouts,
        "total-jobs": shared.broker.total_jobs,
        "max-job-size": shared.max_job_size,
        **current_connections(shared.broker),
        **process,
        "uptime": (now - shared.started) // NS_PER_S,
        **{key: journal.get(key, 0) for key in STANDARD_JOURNAL_KEYS},
        "binlog-max-size": journal.pop("binlog-max-size", shared.segment_bytes),
        "draining": shared.draining,
        **machine,
        "current-memory": shared.broker.memory + shared.uploading,
        "max-memory": shared.max_memory or 0,
        **{key: value for key, value in journal.items() if key not in STANDARD_JOURNAL_KEYS},
        "jobs-expired": shared.broker.expired,
        "jobs-dead": shared.broker.dead,
        **shared.extended_counts,
    }
    session.reply_large(replies.mapping(values))


BARE: Final[dict[bytes, Command]] = {
    b"reserve": reserve,
    b"peek-ready": peek_ready,
    b"peek-delayed": peek_delayed,
    b"peek-buried": peek_buried,
    b"stats": stats,
    b"list-tubes": list_tubes,
    b"list-tube-used": list_tube_used,
    b"list-tubes-watched": list_tubes_watched,
    b"quit": end_session,
}
"""Commands that stand alone on their line."""

WITH_ARGUMENTS: Final[dict[bytes, Command]] = {
    b"reserve-with-timeout": reserve_with_timeout,
    b"reserve-job": reserve_job,
    b"delete": delete,
    b"release": release,
    b"bury": bury,
    b"touch": touch,
    b"watch": watch,
    b"ignore": ignore,
    b"use": use,
    b"kick": kick,
    b"kick-job": kick_job,
    b"pause-tube": pause_tube,
    b"peek": peek,
    b"stats-job": stats_job,
    b"stats-tube": stats_tube,
}
"""Commands behind whose name a space follows."""
