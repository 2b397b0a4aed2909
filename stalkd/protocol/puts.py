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
from stalkd.protocol.arguments import BadFormat, put_numbers, size_before_junk
from stalkd.protocol.upload import Discard, Upload

if TYPE_CHECKING:
    from stalkd.protocol.session import Session


def put(session: Session, args: bytes, data: bytes, start: int, now: int) -> int:
    """Run a put whose body begins at ``data[start]``; return where the bytes used end."""
    try:
        pri, delay, ttr, size = put_numbers(args)
    except BadFormat:
        return _put_with_junk(session, args, data, start, now)
    shared = session.shared
    shared.counts["cmd-put"] += 1
    if size > shared.max_job_size:
        return collect(session, Discard(size + 2, replies.JOB_TOO_BIG), data, start, now)
    if shared.max_memory is not None and not shared.has_room(size + JOB_COST):
        return collect(session, Discard(size + 2, None), data, start, now)
    client = session.client
    if not client.producer:
        session.broker.directory.mark_producer(client)
    if pri == session.last_pri:
        pri = session.last_pri
    else:
        session.last_pri = pri
    if ttr == session.last_ttr:
        ttr = session.last_ttr
    else:
        session.last_ttr = ttr
    body_end = start + size
    job = Job(session.broker.new_id(), client.used, pri, delay, ttr, data[start:body_end], now)
    if data[body_end : body_end + 2] == b"\r\n":
        _accept(session, job, now)
        return body_end + 2
    job.body = b""

    def accept(session: Session, body: bytes, now: int) -> None:
        job.body = body
        _accept(session, job, now)

    return collect(session, Upload(accept, size), data, start, now)


def _put_with_junk(session: Session, args: bytes, data: bytes, start: int, now: int) -> int:
    """Refuse a put with junk behind its numbers; if it is too big as well, that comes first."""
    size = size_before_junk(args)
    session.counts["cmd-put"] += 1
    if size <= session.shared.max_job_size:
        raise BadFormat
    return collect(session, Discard(size + 2, replies.JOB_TOO_BIG), data, start, now)


def collect(session: Session, body: Upload | Discard, data: bytes, start: int, now: int) -> int:
    """Make a body the one that the session's next bytes belong to."""
    session.body = body
    return resume(session, body, data, start, now)


def resume(session: Session, body: Upload | Discard, data: bytes, start: int, now: int) -> int:
    """Give ``data[start:]`` to the session's unfinished body; return where what it took ends."""
    end = body.take(data, start)
    if isinstance(body, Upload):
        session.shared.uploading += end - start
        if body.missing and not session.shared.has_room(0):
            _give_up(session, body)
    if not body.missing:
        session.body = None
        if isinstance(body, Upload):
            _finish(session, body, now)
        else:
            session.reply(body.reply or _refusal(session, body))
    return end


def _give_up(session: Session, upload: Upload) -> None:
    """Drop a body, as far as it has come, that there is no room for any more."""
    session.shared.uploading -= len(upload.content)
    session.body = Discard(upload.missing, None, bytes(upload.content[-2:]))


def _refusal(session: Session, body: Discard) -> bytes:
    """Return the reply to a body that there was no room for."""
    if body.tail != b"\r\n":
        return replies.EXPECTED_CRLF
    return replies.DRAINING if session.shared.draining else replies.OUT_OF_MEMORY


def abandon(session: Session) -> None:
    """Forget an unfinished put: the connection is gone."""
    if isinstance(session.body, Upload):
        session.shared.uploading -= len(session.body.content)
    session.body = None


def _finish(session: Session, upload: Upload, now: int) -> None:
    content = upload.content
    session.shared.uploading -= len(content)
    if not content.endswith(b"\r\n"):
        session.reply(replies.EXPECTED_CRLF)
        return
    upload.accept(session, bytes(memoryview(content)[:-2]), now)


def _accept(session: Session, job: Job, now: int) -> None:
    """Queue a job whose body is complete, unless the daemon takes none."""
    shared = session.shared
    if shared.draining:
        session.reply(replies.DRAINING)
    elif job.tube.policy is not None and job.tube.is_full():
        job.tube.rejected += 1
        session.reply(replies.OUT_OF_MEMORY)
    elif not shared.admits(len(job.body)):
        session.reply(replies.OUT_OF_MEMORY)
    else:
        session.broker.put(job, now)
        session.reply(replies.inserted(job.id))
