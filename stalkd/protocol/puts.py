"""The put command: the only one with a body.

Order of checks, as beanstalkd's: four numbers, counted, size, junk after them, id taken, body
read, CR LF behind it, draining, room. A refused body is read to its end and dropped, so that what
follows is read as commands again; a line of bad form announces no body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalkd.broker.job import Job
from stalkd.broker.limits import JOB_COST
from stalkd.protocol import replies
from stalkd.protocol.arguments import BadFormat, put_numbers
from stalkd.protocol.upload import Discard, Upload

if TYPE_CHECKING:
    from stalkd.protocol.session import Session


def put(session: Session, args: bytes, data: bytes, start: int, now: int) -> int:
    """Run a put whose body begins at ``data[start]``; return where the bytes used end."""
    (pri, delay, ttr, size), junk = put_numbers(args)
    session.counts["cmd-put"] += 1
    refusal = _refusal(session, size)
    if refusal is not None:
        return _collect(session, Discard(size, refusal), data, start, now)
    if junk:
        raise BadFormat
    client = session.client
    if not client.producer:
        session.broker.directory.mark_producer(client)
    body_end = start + size
    job = Job(session.broker.new_id(), client.used, pri, delay, ttr, data[start:body_end], now)
    if data[body_end : body_end + 2] == b"\r\n":
        _accept(session, job, now)
        return body_end + 2
    job.body = b""
    return _collect(session, Upload(job, size), data, start, now)


def _collect(session: Session, body: Upload | Discard, data: bytes, start: int, now: int) -> int:
    """Make a body the one that the session's next bytes belong to."""
    session.body = body
    return resume(session, body, data, start, now)


def resume(session: Session, body: Upload | Discard, data: bytes, start: int, now: int) -> int:
    """Give ``data[start:]`` to the session's unfinished body; return where what it took ends."""
    end = body.take(data, start)
    if isinstance(body, Upload):
        session.shared.uploading += end - start
    if not body.missing:
        session.body = None
        if isinstance(body, Upload):
            _finish(session, body, now)
        else:
            session.reply(body.reply)
    return end


def abandon(session: Session) -> None:
    """Forget an unfinished put: the connection is gone."""
    if isinstance(session.body, Upload):
        session.shared.uploading -= session.body.arrived
    session.body = None


def _refusal(session: Session, size: int) -> bytes | None:
    """Return the reply to a body that is not even to be kept while it arrives."""
    if size > session.shared.settings.max_job_size:
        return replies.JOB_TOO_BIG
    if not session.shared.has_room(size + JOB_COST):
        return replies.DRAINING if session.shared.draining else replies.OUT_OF_MEMORY
    return None


def _finish(session: Session, upload: Upload, now: int) -> None:
    session.shared.uploading -= upload.arrived
    content = upload.content()
    if not content.endswith(b"\r\n"):
        session.reply(replies.EXPECTED_CRLF)
        return
    upload.job.body = content[:-2]
    _accept(session, upload.job, now)


def _accept(session: Session, job: Job, now: int) -> None:
    """Queue a job whose body is complete, unless the daemon takes none."""
    shared = session.shared
    if shared.draining:
        session.reply(replies.DRAINING)
    elif shared.has_room(len(job.body) + JOB_COST):
        session.broker.put(job, now)
        session.reply(replies.inserted(job.id))
    else:
        session.reply(replies.OUT_OF_MEMORY)
