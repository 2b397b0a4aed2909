"""Every command, once: the bytes to send, and how to read the reply.

Both clients run these; neither knows a command. A reply is read by a generator: it yields None for
a line and a number for so many bytes, is sent what it asked for (without CR LF), and returns the
result. It raises a StalkdError for a refusal, and ProtocolError for what is no reply.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Final, Generic, NoReturn, TypeVar

from stalkd_client import documents
from stalkd_client.documents import Mapping
from stalkd_client.errors import (
    ERRORS,
    BuriedError,
    ExistsError,
    ProtocolError,
    UnsupportedByServerError,
)
from stalkd_client.jobs import Job, Page

T = TypeVar("T")
Reading = Generator[int | None, bytes, T]

DEFAULT_PRIORITY: Final = 65_536
"""As most Beanstalk clients have it: in the middle, so that jobs can be more or less urgent."""

DEFAULT_TTR: Final = 60.0
"""Seconds that a worker has for a job, as in most Beanstalk clients."""

NO_LIMIT_S: Final = (1 << 31) - 1
"""The longest time that extended commands can wait: 68 years."""

MAX_TUBE_NAME: Final = 200
"""Bytes of a tube's name."""

MAX_NUMBER: Final = (1 << 32) - 1
"""The largest priority, and number of seconds, of the plain commands."""

_STATE: Final = re.compile(r"[a-z]+")
_TUBE: Final = re.compile(r"[A-Za-z0-9+/;.$_()][A-Za-z0-9+/;.$_()-]{0,199}")
_KEY: Final = re.compile(r"[!-~]{1,250}")


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """A command. ``read`` makes the generator that reads its reply.

    ``wait`` is how long the server may take to answer by itself, in seconds, None for ever.
    ``again`` says that doing it twice does no more than doing it once. ``job_id`` is the job that
    must still be held by this connection for it to make sense, 0 for none. ``extended`` says that
    plain beanstalkd does not know it, and would take the body of a ``put-with`` for commands.
    """

    verb: str
    data: bytes
    read: Callable[[], Reading[T]]
    wait: float | None = 0.0
    again: bool = False
    job_id: int = 0
    extended: bool = False


# -- what all replies have in common --------------------------------------------------------------


def _refuse(verb: str, line: bytes) -> NoReturn:
    """Raise what a line means that is not the expected reply."""
    word, _, rest = line.partition(b" ")
    text = f"{verb}: {line.decode('latin-1')}"
    if word == b"BURIED":
        raise BuriedError(text, int(rest or 0))
    if word == b"EXISTS":
        raise ExistsError(text, int(rest))
    error = ERRORS.get(word)
    if error is None:
        raise ProtocolError(f"{verb}: the server answered {line[:100]!r}")
    raise error(text)


def _expect(verb: str, line: bytes, word: bytes) -> bytes:
    """Return what stands behind a reply's word."""
    found, _, rest = line.partition(b" ")
    if found != word:
        _refuse(verb, line)
    return rest


def _number(verb: str, text: bytes) -> int:
    if not text.isdigit():
        raise ProtocolError(f"{verb}: the server answered {text[:100]!r} for a number")
    return int(text)


def _done(verb: str, word: bytes) -> Callable[[], Reading[None]]:
    """Read a reply of one word."""

    def read() -> Reading[None]:
        _expect(verb, (yield None), word)

    return read


def _count(verb: str, word: bytes) -> Callable[[], Reading[int]]:
    """Read a reply of a word and a number."""

    def read() -> Reading[int]:
        return _number(verb, _expect(verb, (yield None), word))

    return read


def _word(verb: str, word: bytes) -> Callable[[], Reading[str]]:
    def read() -> Reading[str]:
        return _expect(verb, (yield None), word).decode("ascii")

    return read


def _body(verb: str, size: bytes) -> Reading[bytes]:
    """Read so many bytes and CR LF."""
    count = _number(verb, size)
    data = yield count + 2
    if data[-2:] != b"\r\n":
        raise ProtocolError(f"{verb}: a body of {count} bytes does not end where it should")
    return data[:-2]


def _job(verb: str, word: bytes) -> Callable[[], Reading[Job]]:
    def read() -> Reading[Job]:
        number, _, size = _expect(verb, (yield None), word).partition(b" ")
        body = yield from _body(verb, size)
        return Job(_number(verb, number), body)

    return read


def _yaml(verb: str, parse: Callable[[str], T]) -> Callable[[], Reading[T]]:
    def read() -> Reading[T]:
        body = yield from _body(verb, _expect(verb, (yield None), b"OK"))
        return parse(body.decode("utf-8", "replace"))

    return read


# -- arguments ------------------------------------------------------------------------------------


def check_tube(name: str) -> bytes:
    """Return a tube's name as bytes. Raises ValueError."""
    if _TUBE.fullmatch(name) is None:
        raise ValueError(
            f"{name!r} is no name for a tube: 1 to {MAX_TUBE_NAME} of the characters"
            " A-Z a-z 0-9 - + / ; . $ _ ( ), no - in front"
        )
    return name.encode("ascii")


def check_key(key: str) -> bytes:
    """Return a job's key as bytes. Raises ValueError."""
    if _KEY.fullmatch(key) is None:
        raise ValueError(f"{key!r} is no key: 1 to 250 printable characters of ASCII, no spaces")
    return key.encode("ascii")


def check_state(state: str) -> bytes:
    """Return the name of a job's state, or ``all``, as bytes. Raises ValueError."""
    if _STATE.fullmatch(state) is None:
        raise ValueError(f"{state!r} is no state of jobs")
    return state.encode("ascii")


def _check_numbers(**numbers: float) -> None:
    """Raise ValueError for a number that no server takes.

    This matters for put: a server that cannot read its line takes its body for commands.
    """
    for name, value in numbers.items():
        if not 0 <= value <= MAX_NUMBER:
            raise ValueError(f"{name} is {value}: not between 0 and {MAX_NUMBER}")


def whole(seconds: float) -> bytes:
    """Return seconds for a plain command, which takes whole ones: rounded up."""
    return b"%d" % -(-seconds // 1)


def exact(seconds: float) -> bytes:
    """Return seconds for an extended command, with three decimals."""
    return (b"%.3f" % seconds).rstrip(b"0").rstrip(b".") if seconds % 1 else b"%d" % seconds


# -- producers ------------------------------------------------------------------------------------


def put(  # noqa: PLR0913 - these are the command's arguments
    body: bytes,
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
    """Put a job; a plain ``put`` if no option needs more."""
    _check_numbers(priority=priority, delay=delay, ttr=ttr)
    words = [
        *([] if tube is None else [b"tube=" + check_tube(tube)]),
        *([] if key is None else [b"key=" + check_key(key)]),
        *([] if ttl is None else [b"ttl=" + exact(ttl)]),
        *([] if attempts is None else [b"attempts=%d" % attempts]),
        *([] if dead is None else [b"dead=" + check_tube(dead)]),
        *([b"sync=1"] if sync else []),
    ]
    verb = "put-with" if words or delay % 1 or ttr % 1 else "put"
    numbers = b"%d %b %b %d" % (priority, exact(delay), exact(ttr), len(body))
    line = b" ".join([verb.encode(), numbers, *words])
    read = _count(verb, b"INSERTED")
    data = b"%b\r\n%b\r\n" % (line, body)
    return Request(verb, data, read, again=key is not None, extended=verb != "put")


def use(tube: str) -> Request[str]:
    """Put into another tube from now on."""
    return Request("use", b"use %b\r\n" % check_tube(tube), _word("use", b"USING"), again=True)


# -- consumers ------------------------------------------------------------------------------------


def reserve(timeout: float | None = None) -> Request[Job]:
    """Take the most urgent job; wait for one so many seconds at most, None for ever."""
    verb = "reserve" if timeout is None else "reserve-with-timeout"
    line = b"reserve" if timeout is None else b"reserve-with-timeout " + whole(timeout)
    return Request(verb, line + b"\r\n", _job(verb, b"RESERVED"), wait=timeout, again=True)


def reserve_job(job_id: int) -> Request[Job]:
    """Take this very job."""
    read = _job("reserve-job", b"RESERVED")
    return Request("reserve-job", b"reserve-job %d\r\n" % job_id, read, again=True)


def reserve_batch(most: int, timeout: float | None) -> Request[list[Job]]:
    """Take up to so many of the most urgent jobs; wait for the first."""

    def read() -> Reading[list[Job]]:
        verb = "reserve-batch"
        count = _number(verb, _expect(verb, (yield None), b"RESERVED_BATCH"))
        jobs = []
        for _ in range(count):
            number, size, pri, ttr, attempt, tube = _expect(verb, (yield None), b"JOB").split(b" ")
            body = yield from _body(verb, size)
            numbers = int(attempt), int(pri), float(ttr)
            jobs.append(Job(_number(verb, number), body, *numbers, tube.decode("ascii")))
        return jobs

    line = b"reserve-batch %d %b\r\n" % (most, exact(NO_LIMIT_S if timeout is None else timeout))
    return Request("reserve-batch", line, read, wait=timeout, again=True, extended=True)


def delete(job_id: int) -> Request[None]:
    """Delete a job."""
    read = _done("delete", b"DELETED")
    return Request("delete", b"delete %d\r\n" % job_id, read, job_id=job_id)


def release(job_id: int, *, priority: int = DEFAULT_PRIORITY, delay: float = 0) -> Request[None]:
    """Give a job back."""
    line = b"release %d %d %b\r\n" % (job_id, priority, whole(delay))
    return Request("release", line, _done("release", b"RELEASED"), job_id=job_id)


def bury(job_id: int, *, priority: int = DEFAULT_PRIORITY) -> Request[None]:
    """Put a job aside until it is kicked."""
    line = b"bury %d %d\r\n" % (job_id, priority)
    return Request("bury", line, _done("bury", b"BURIED"), job_id=job_id)


def touch(job_id: int, seconds: float | None = None) -> Request[None]:
    """Ask for more time: the job's time-to-run anew, or so many seconds from now."""
    if seconds is None:
        line, verb = b"touch %d\r\n" % job_id, "touch"
        return Request(verb, line, _done(verb, b"TOUCHED"), job_id=job_id)
    line, verb = b"touch-for %d %b\r\n" % (job_id, exact(seconds)), "touch-for"
    return Request(verb, line, _done(verb, b"TOUCHED"), job_id=job_id, extended=True)


def watch(tube: str) -> Request[int]:
    """Reserve also from a tube; gives how many are watched."""
    read = _count("watch", b"WATCHING")
    return Request("watch", b"watch %b\r\n" % check_tube(tube), read, again=True)


def ignore(tube: str) -> Request[int]:
    """Reserve no more from a tube; gives how many are watched."""
    read = _count("ignore", b"WATCHING")
    return Request("ignore", b"ignore %b\r\n" % check_tube(tube), read, again=True)


def wait_job(job_id: int, timeout: float | None) -> Request[str]:
    """Wait for the end of a job: gives ``deleted`` or ``buried``."""

    def read() -> Reading[str]:
        line = yield None
        if line in {b"DELETED", b"BURIED"}:
            return line.decode("ascii").lower()
        _refuse("wait-job", line)

    line = b"wait-job %d %b\r\n" % (job_id, exact(NO_LIMIT_S if timeout is None else timeout))
    return Request("wait-job", line, read, wait=timeout, again=True, extended=True)


# -- everybody ------------------------------------------------------------------------------------


def kick(count: int) -> Request[int]:
    """Make buried jobs of the tube in use ready, or delayed ones if none is buried."""
    return Request("kick", b"kick %d\r\n" % count, _count("kick", b"KICKED"))


def kick_job(job_id: int) -> Request[None]:
    """Make one buried or delayed job ready."""
    return Request("kick-job", b"kick-job %d\r\n" % job_id, _done("kick-job", b"KICKED"))


def pause_tube(tube: str, seconds: float) -> Request[None]:
    """Let nobody reserve from a tube for some seconds."""
    line = b"pause-tube %b %b\r\n" % (check_tube(tube), whole(seconds))
    return Request("pause-tube", line, _done("pause-tube", b"PAUSED"), again=True)


def _peek(verb: str, line: bytes) -> Request[Job]:
    return Request(verb, line + b"\r\n", _job(verb, b"FOUND"), again=True)


def peek(job_id: int) -> Request[Job]:
    """Show a job."""
    return _peek("peek", b"peek %d" % job_id)


def peek_ready() -> Request[Job]:
    """Show the next job of the tube in use."""
    return _peek("peek-ready", b"peek-ready")


def peek_delayed() -> Request[Job]:
    """Show the job of the tube in use whose delay ends first."""
    return _peek("peek-delayed", b"peek-delayed")


def peek_buried() -> Request[Job]:
    """Show the job of the tube in use that was buried first."""
    return _peek("peek-buried", b"peek-buried")


def _mapping(verb: str, line: bytes) -> Request[Mapping]:
    return Request(verb, line + b"\r\n", _yaml(verb, documents.mapping), again=True)


def stats() -> Request[Mapping]:
    """Tell about the server."""
    return _mapping("stats", b"stats")


def stats_job(job_id: int) -> Request[Mapping]:
    """Tell about a job."""
    return _mapping("stats-job", b"stats-job %d" % job_id)


def stats_tube(tube: str) -> Request[Mapping]:
    """Tell about a tube."""
    return _mapping("stats-tube", b"stats-tube " + check_tube(tube))


def list_tubes() -> Request[list[str]]:
    """List all tubes."""
    return Request(
        "list-tubes", b"list-tubes\r\n", _yaml("list-tubes", documents.listing), again=True
    )


def list_tubes_watched() -> Request[list[str]]:
    """List the tubes that are watched."""
    verb = "list-tubes-watched"
    return Request(verb, b"list-tubes-watched\r\n", _yaml(verb, documents.listing), again=True)


def list_tube_used() -> Request[str]:
    """Name the tube in use."""
    verb = "list-tube-used"
    return Request(verb, b"list-tube-used\r\n", _word(verb, b"USING"), again=True)


# -- what only stalkd can ------------------------------------------------------------------------


def _extended(
    verb: str, line: bytes, read: Callable[[], Reading[T]], *, again: bool = False
) -> Request[T]:
    """Return a request whose reply may take as long as it likes."""
    return Request(verb, line + b"\r\n", read, wait=None, again=again, extended=True)


def probe() -> Request[None]:
    """Ask whether the server knows the extended commands: a question that does no harm."""

    def read() -> Reading[None]:
        line = yield None
        if line.startswith(b"OK "):
            yield from _body("get-policy", line[3:])
        elif line != b"NOT_FOUND":
            raise UnsupportedByServerError(line.decode("latin-1"))

    return Request("get-policy", b"get-policy default\r\n", read, again=True)


def list_jobs(tube: str, state: str = "all", *, after: int = 0, limit: int = 100) -> Request[Page]:
    """List jobs of a tube by id, behind ``after``."""

    def parse(text: str) -> Page:
        top, jobs = documents.document(text, "jobs")
        return Page([dict(job) for job in jobs], int(str(top["next"])))

    verb = "list-jobs"
    line = b"list-jobs %b %b %d %d" % (check_tube(tube), check_state(state), after, limit)
    return _extended(verb, line, _yaml(verb, parse), again=True)


def explain_job(job_id: int) -> Request[tuple[Mapping, list[str]]]:
    """Tell all about a job, and why it does not run."""

    def parse(text: str) -> tuple[Mapping, list[str]]:
        return documents.strings(text, "reasons")

    verb = "explain-job"
    return _extended(verb, b"explain-job %d" % job_id, _yaml(verb, parse), again=True)


def purge_tube(tube: str, state: str = "all") -> Request[int]:
    """Delete all jobs of a tube, or those in a state; gives how many."""
    line = b"purge-tube %b %b" % (check_tube(tube), check_state(state))
    return _extended("purge-tube", line, _count("purge-tube", b"PURGED"))


def release_tube(tube: str) -> Request[int]:
    """End all leases of a tube's jobs; gives how many."""
    line = b"release-tube " + check_tube(tube)
    return _extended("release-tube", line, _count("release-tube", b"RELEASED"))


def move_jobs(tube: str, state: str, target: str, count: int) -> Request[int]:
    """Put up to so many jobs of a tube into another, alive; gives how many."""
    names = check_tube(tube), check_state(state), check_tube(target)
    line = b"move-jobs %b %b %b %d" % (*names, count)
    return _extended("move-jobs", line, _count("move-jobs", b"MOVED"))


def set_policy(  # noqa: PLR0913 - these are the command's arguments
    tube: str,
    *,
    attempts: int | None = None,
    dead: str | None = None,
    ttl: float | None = None,
    max_jobs: int | None = None,
    rate: float | None = None,
    concurrency: int | None = None,
    ageing: float | None = None,
) -> Request[None]:
    """Change what holds for a tube; 0 or "" takes a rule away, None leaves it as it is."""
    words = [
        *([] if attempts is None else [b"attempts=%d" % attempts]),
        *([] if dead is None else [b"dead=" + (check_tube(dead) if dead else b"")]),
        *([] if ttl is None else [b"ttl=" + exact(ttl)]),
        *([] if max_jobs is None else [b"max-jobs=%d" % max_jobs]),
        *([] if rate is None else [b"rate=" + exact(rate)]),
        *([] if concurrency is None else [b"concurrency=%d" % concurrency]),
        *([] if ageing is None else [b"ageing=" + exact(ageing)]),
    ]
    line = b" ".join([b"set-policy", check_tube(tube), *words])
    return _extended("set-policy", line, _done("set-policy", b"POLICY_SET"), again=True)


def get_policy(tube: str) -> Request[Mapping]:
    """Show what holds for a tube."""
    line = b"get-policy " + check_tube(tube)
    return _extended("get-policy", line, _yaml("get-policy", documents.mapping), again=True)


def _items(verb: str, name: str) -> Request[list[Mapping]]:
    def parse(text: str) -> list[Mapping]:
        return documents.document(text, name)[1]

    return _extended(verb, verb.encode(), _yaml(verb, parse), again=True)


def stats_tubes() -> Request[list[Mapping]]:
    """Tell about all tubes."""
    return _items("stats-tubes", "tubes")


def list_clients() -> Request[list[Mapping]]:
    """Tell about all connections."""
    return _items("list-clients", "clients")


def drain(*, on: bool) -> Request[bool]:
    """Let the server take no more jobs, or take them again; gives whether it is draining."""

    def read() -> Reading[bool]:
        line = yield None
        if line not in {b"DRAINING", b"ACCEPTING"}:
            _refuse("drain", line)
        return line == b"DRAINING"

    return _extended("drain", b"drain on" if on else b"drain off", read, again=True)
