"""The commands that every Beanstalk server knows, and puts: each one stands here once.

Both clients have a method for each of these functions, with the same arguments; what is said here
is what their users read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar

from stalkd_client import arguments, documents, replies
from stalkd_client.arguments import check_tube
from stalkd_client.documents import Mapping
from stalkd_client.exchange import Reading, Request
from stalkd_client.jobs import Job, id_of

T = TypeVar("T")

DEFAULT_PRIORITY: Final = 65_536
"""As most Beanstalk clients have it: in the middle, so that jobs can be more or less urgent."""

DEFAULT_TTR: Final = 60.0
"""Seconds that a worker has for a job, as in most Beanstalk clients."""

FORMS: Final = 256
"""Sets of options that are kept ready: a program has a few, and says them again and again."""


# -- producers ------------------------------------------------------------------------------------


class PutForm(NamedTuple):
    """What puts with the same options have in common."""

    verb: str
    head: bytes
    tail: bytes
    read: Callable[[], Reading[int]]

    @property
    def extended(self) -> bool:
        """Whether only stalkd knows such puts."""
        return self.verb != "put"

    def fill(self, body: bytes, key: str | None = None) -> bytes:
        """Return the command that puts a body; a ``key`` needs an extended form."""
        words = self.tail if key is None else b"%b key=%b" % (self.tail, arguments.check_key(key))
        return b"%b%d%b\r\n%b\r\n" % (self.head, len(body), words, body)

    def request(self, body: bytes, key: str | None = None) -> Request[int]:
        """Return the request that puts a body."""
        request = Request(self.verb, self.fill(body, key), self.read)
        if self.verb != "put":
            request.extended, request.again = True, key is not None
        return request


@lru_cache(maxsize=FORMS)
def put_form(  # noqa: PLR0913, PLR0917 - these are the command's arguments
    priority: int = DEFAULT_PRIORITY,
    delay: float = 0,
    ttr: float = DEFAULT_TTR,
    tube: str | None = None,
    ttl: float | None = None,
    attempts: int | None = None,
    dead: str | None = None,
    sync: bool = False,  # noqa: FBT001, FBT002 - without keywords the cache finds it faster
    keyed: bool = False,  # noqa: FBT001, FBT002 - the same
) -> PutForm:
    """Return the form of puts with these options; a plain one if none of them needs more."""
    arguments.check_numbers(priority=priority, delay=delay, ttr=ttr)
    words = [
        *([] if tube is None else [b" tube=" + check_tube(tube)]),
        *([] if ttl is None else [b" ttl=" + arguments.exact(ttl)]),
        *([] if attempts is None else [b" attempts=%d" % attempts]),
        *([] if dead is None else [b" dead=" + check_tube(dead)]),
        *([b" sync=1"] if sync else []),
    ]
    verb = "put-with" if words or keyed or delay % 1 or ttr % 1 else "put"
    times = arguments.exact(delay), arguments.exact(ttr)
    head = b"%b %d %b %b " % (verb.encode(), priority, *times)
    return PutForm(verb, head, b"".join(words), replies.count(verb, b"INSERTED"))


def put(  # noqa: PLR0913 - these are the command's arguments
    body: bytes | str,
    *,
    priority: int = DEFAULT_PRIORITY,
    delay: float = 0,
    ttr: float = DEFAULT_TTR,
    tube: str | None = None,
    key: str | None = None,
    ttl: float | None = None,
    attempts: int | None = None,
    dead: str | None = None,
    sync: bool = False,
) -> Request[int]:
    """Put a job into the tube in use, or another; return its id.

    ``delay``, ``ttr`` and ``ttl`` in seconds. All from ``tube`` on, and fractions of seconds, need
    stalkd. Raises JobTooBigError, OutOfMemoryError, DrainingError; ExistsError if a job with that
    ``key`` is there; TubeFullError; NotDurableError for ``sync`` without a log.
    """
    form = put_form(priority, delay, ttr, tube, ttl, attempts, dead, sync, key is not None)
    return form.request(arguments.check_body(body), key)


def use(tube: str) -> Request[str]:
    """Put into another tube from now on; return its name."""
    return _about_tube("use", tube, replies.word("use", b"USING"))


# -- consumers ------------------------------------------------------------------------------------


def reserve(timeout: float | None = None) -> Request[Job]:
    """Take the most urgent job; wait for one so many seconds at most, None for ever.

    Raises TimedOutError, DeadlineSoonError.
    """
    verb = "reserve" if timeout is None else "reserve-with-timeout"
    line = b"reserve" if timeout is None else b"reserve-with-timeout " + arguments.whole(timeout)
    read = replies.job(verb, b"RESERVED")
    return Request(verb, line + b"\r\n", read, wait=timeout, sliced=reserve, again=True)


def reserve_job(job: Job | int) -> Request[Job]:
    """Take this very job, whatever its state and tube. Raises NotFoundError."""
    read = replies.job("reserve-job", b"RESERVED")
    return Request("reserve-job", b"reserve-job %d\r\n" % id_of(job), read, again=True)


def delete(job: Job | int) -> Request[None]:
    """Delete a job. Raises NotFoundError, LeaseLostError."""
    read = replies.done("delete", b"DELETED")
    return Request("delete", b"delete %d\r\n" % id_of(job), read, job=job)


def release(job: Job | int, *, priority: int = DEFAULT_PRIORITY, delay: float = 0) -> Request[None]:
    """Give a job back, ready after ``delay`` seconds. Raises NotFoundError, LeaseLostError."""
    arguments.check_numbers(priority=priority)
    line = b"release %d %d %b\r\n" % (id_of(job), priority, arguments.whole(delay))
    return Request("release", line, replies.done("release", b"RELEASED"), job=job)


def bury(job: Job | int, *, priority: int = DEFAULT_PRIORITY) -> Request[None]:
    """Put a job aside until it is kicked. Raises NotFoundError, LeaseLostError."""
    arguments.check_numbers(priority=priority)
    line = b"bury %d %d\r\n" % (id_of(job), priority)
    return Request("bury", line, replies.done("bury", b"BURIED"), job=job)


def touch(job: Job | int, seconds: float | None = None) -> Request[None]:
    """Start a job's time-to-run anew; or let its lease end so many seconds from now.

    ``seconds`` needs stalkd. Raises NotFoundError, LeaseLostError.
    """
    if seconds is None:
        verb, line = "touch", b"touch %d\r\n" % id_of(job)
    else:
        verb, line = "touch-for", b"touch-for %d %b\r\n" % (id_of(job), arguments.exact(seconds))
    read = replies.done(verb, b"TOUCHED")
    return Request(verb, line, read, job=job, extended=seconds is not None)


def watch(tube: str) -> Request[int]:
    """Reserve also from a tube; return how many are watched."""
    return _about_tube("watch", tube, replies.count("watch", b"WATCHING"))


def ignore(tube: str) -> Request[int]:
    """Reserve no more from a tube; return how many are watched. Raises NotIgnoredError."""
    return _about_tube("ignore", tube, replies.count("ignore", b"WATCHING"))


def _about_tube(verb: str, tube: str, read: Callable[[], Reading[T]]) -> Request[T]:
    line = b"%b %b\r\n" % (verb.encode(), check_tube(tube))
    return Request(verb, line, read, again=True, tube=tube)


# -- everybody ------------------------------------------------------------------------------------


def kick(count: int) -> Request[int]:
    """Make buried jobs of the tube in use ready, or delayed ones if none is; return how many."""
    arguments.check_numbers(count=count)
    return Request("kick", b"kick %d\r\n" % count, replies.count("kick", b"KICKED"))


def kick_job(job: Job | int) -> Request[None]:
    """Make one buried or delayed job ready. Raises NotFoundError."""
    line = b"kick-job %d\r\n" % id_of(job)
    return Request("kick-job", line, replies.done("kick-job", b"KICKED"))


def pause_tube(tube: str, seconds: float) -> Request[None]:
    """Let nobody reserve from a tube for some seconds; 0 ends that. Raises NotFoundError."""
    line = b"pause-tube %b %b\r\n" % (check_tube(tube), arguments.whole(seconds))
    return Request("pause-tube", line, replies.done("pause-tube", b"PAUSED"), again=True)


def peek(job: Job | int) -> Request[Job]:
    """Show a job. Raises NotFoundError."""
    return _look("peek", b"peek %d" % id_of(job), replies.job("peek", b"FOUND"))


def peek_ready() -> Request[Job]:
    """Show the next job of the tube in use. Raises NotFoundError."""
    return _look("peek-ready", b"peek-ready", replies.job("peek-ready", b"FOUND"))


def peek_delayed() -> Request[Job]:
    """Show the job of the tube in use whose delay ends first. Raises NotFoundError."""
    return _look("peek-delayed", b"peek-delayed", replies.job("peek-delayed", b"FOUND"))


def peek_buried() -> Request[Job]:
    """Show the job of the tube in use that was buried first. Raises NotFoundError."""
    return _look("peek-buried", b"peek-buried", replies.job("peek-buried", b"FOUND"))


def stats() -> Request[Mapping]:
    """Tell about the server."""
    return _look("stats", b"stats", replies.yaml("stats", documents.mapping))


def stats_job(job: Job | int) -> Request[Mapping]:
    """Tell about a job. Raises NotFoundError."""
    read = replies.yaml("stats-job", documents.mapping)
    return _look("stats-job", b"stats-job %d" % id_of(job), read)


def stats_tube(tube: str) -> Request[Mapping]:
    """Tell about a tube. Raises NotFoundError."""
    read = replies.yaml("stats-tube", documents.mapping)
    return _look("stats-tube", b"stats-tube " + check_tube(tube), read)


def list_tubes() -> Request[list[str]]:
    """List all tubes."""
    return _look("list-tubes", b"list-tubes", replies.yaml("list-tubes", documents.listing))


def list_tubes_watched() -> Request[list[str]]:
    """List the tubes that are watched."""
    verb = "list-tubes-watched"
    return _look(verb, b"list-tubes-watched", replies.yaml(verb, documents.listing))


def list_tube_used() -> Request[str]:
    """Name the tube in use."""
    verb = "list-tube-used"
    return _look(verb, b"list-tube-used", replies.word(verb, b"USING"))


def _look(verb: str, line: bytes, read: Callable[[], Reading[T]]) -> Request[T]:
    """Return a request that changes nothing."""
    return Request(verb, line + b"\r\n", read, again=True)
