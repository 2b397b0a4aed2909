"""The put-with command: a put with options, for a tube of its choice.

Order of checks: four numbers, counted, size, options, body read, CR LF behind it, draining, whether
there is a log if one is asked for, key, room in the tube, room. A body is announced once the four
numbers can be read: it is dropped when the options cannot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from stalkd.broker.job import Job
from stalkd.broker.limits import JOB_COST, MIN_TTR_S, NS_PER_S
from stalkd.broker.terms import Terms
from stalkd.protocol import options as read
from stalkd.protocol import replies
from stalkd.protocol.arguments import BadFormat, tube_name
from stalkd.protocol.limits import MAX_OPTIONS, MAX_U32
from stalkd.protocol.puts import collect
from stalkd.protocol.upload import Discard, Upload

if TYPE_CHECKING:
    from stalkd.broker.tube import Tube
    from stalkd.protocol.options import Reader
    from stalkd.protocol.session import Session

OPTIONS: Final[dict[bytes, Reader]] = {
    b"tube": tube_name,
    b"key": read.key,
    b"ttl": read.seconds,
    b"attempts": read.number,
    b"dead": tube_name,
    b"sync": read.flag,
}

NUMBERS: Final = 4
"""Words before the options: priority, delay, time-to-run, bytes."""


class Wish(NamedTuple):
    """What a producer asks for. Times in nanoseconds; 0 and "" stand for nothing."""

    pri: int
    delay: int
    lease: int
    tube: str = ""
    key: str = ""
    ttl: int = 0
    attempts: int = 0
    dead: str = ""
    sync: int = 0


def put_with(session: Session, args: bytes, data: bytes, start: int, now: int) -> int:
    """Run a put-with whose body begins at ``data[start]``; return where the bytes used end."""
    parts = [part for part in args.split(b" ") if part]
    if len(parts) < NUMBERS:
        raise BadFormat
    pri, size = read.number(parts[0]), read.number(parts[3])
    delay, lease = read.seconds(parts[1]), read.seconds(parts[2])
    shared = session.shared
    shared.extended_counts["cmd-put-with"] += 1
    if size > shared.max_job_size:
        return collect(session, Discard(size + 2, replies.JOB_TOO_BIG), data, start, now)
    try:
        read.words(args, NUMBERS, NUMBERS + MAX_OPTIONS)
        found = read.options(parts[NUMBERS:], OPTIONS)
    except BadFormat:
        session.bad_lines += 1
        return collect(session, Discard(size + 2, replies.BAD_FORMAT), data, start, now)
    if shared.max_memory is not None and not shared.has_room(size + JOB_COST):
        return collect(session, Discard(size + 2, None), data, start, now)
    session.broker.directory.mark_producer(session.client)
    wish = Wish(pri, delay, lease or MIN_TTR_S * NS_PER_S, **found)  # type: ignore[arg-type]
    body_end = start + size
    if data[body_end : body_end + 2] == b"\r\n":
        _accept(session, wish, data[start:body_end], now)
        return body_end + 2

    def accept(session: Session, body: bytes, now: int) -> None:
        _accept(session, wish, body, now)

    return collect(session, Upload(accept, size), data, start, now)


def _accept(session: Session, wish: Wish, body: bytes, now: int) -> None:
    """Queue the job, unless something is against it."""
    shared = session.shared
    if shared.draining:
        session.reply(replies.DRAINING)
        return
    if wish.sync and shared.journal is None:
        session.reply(replies.NOT_DURABLE)
        return
    directory = session.broker.directory
    tube = directory.tube(wish.tube) if wish.tube else session.client.used
    twin = tube.keys.get(wish.key) if wish.key else None
    terms = _terms(wish, now)
    if twin is not None:
        session.reply(replies.exists(twin))
    elif tube.is_full():
        tube.rejected += 1
        session.reply(replies.TUBE_FULL)
    elif not shared.admits(len(body) + (terms.cost() if terms is not None else 0)):
        session.reply(replies.OUT_OF_MEMORY)
    else:
        _put(session, tube, wish, terms, body, now)
        return
    if wish.sync and shared.journal is not None and twin is not None:
        shared.journal.demand_sync()  # Whoever put the first one may not have asked for it.
    directory.drop_if_unused(tube)


def _terms(wish: Wish, now: int) -> Terms | None:
    """Return what is asked for beyond a plain put, or None."""
    is_exact = not (wish.delay % NS_PER_S or wish.lease % NS_PER_S)
    if is_exact and not (wish.key or wish.ttl or wish.attempts or wish.dead):
        return None
    terms = Terms(wish.lease)
    terms.key, terms.attempts, terms.dead = wish.key, wish.attempts, wish.dead
    if wish.ttl:
        terms.expires = now + wish.ttl
    return terms


def _put(
    session: Session, tube: Tube, wish: Wish, terms: Terms | None, body: bytes, now: int
) -> None:
    number = session.broker.new_id()
    delay, ttr = _whole_seconds(wish.delay), _whole_seconds(wish.lease)
    job = Job(number, tube, wish.pri, delay, ttr, body, now)
    job.terms = terms
    session.broker.put(job, now, now + wish.delay)
    if wish.sync and session.shared.journal is not None:
        session.shared.journal.demand_sync()
    session.reply(replies.inserted(number))


def _whole_seconds(nanoseconds: int) -> int:
    """Round up, but not beyond what a plain put can say: there is no room for more in the log."""
    return min(-(-nanoseconds // NS_PER_S), MAX_U32)
