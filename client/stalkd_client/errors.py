"""What can go wrong, one class for each word of the server; connection trouble is Python's own."""

from __future__ import annotations

from typing import Final


class StalkdError(Exception):
    """A command was not done, and its connection is still good."""


class BadFormatError(StalkdError):
    """The server could not read a command: arguments it does not accept, or a bug in the client."""


class BuriedError(StalkdError):
    """A put or release buried the job, because the server ran out of memory (old servers only).

    ``id`` is the job's.
    """

    def __init__(self, message: str, job_id: int = 0) -> None:
        super().__init__(message)
        self.id = job_id

    def __reduce__(self) -> tuple[type[BuriedError], tuple[str, int]]:
        return type(self), (str(self), self.id)


class DeadlineSoonError(StalkdError):
    """The lease of a job that this client holds ends within a second: touch it, or be done."""


class DrainingError(StalkdError):
    """The server takes no more jobs; another one may."""


class ExistsError(StalkdError):
    """A job with the same key is there already; ``id`` is that job's."""

    def __init__(self, message: str, job_id: int) -> None:
        super().__init__(message)
        self.id = job_id

    def __reduce__(self) -> tuple[type[ExistsError], tuple[str, int]]:
        return type(self), (str(self), self.id)


class JobTooBigError(StalkdError):
    """The body is larger than the server takes (its option -z)."""


class LeaseLostError(StalkdError):
    """The job was reserved on a connection that broke: somebody else may have it by now."""


class NotDurableError(StalkdError):
    """The server keeps no log (its option -b), so it cannot promise that a job is on the disk."""


class NotFoundError(StalkdError):
    """No such job or tube; or the job is held by somebody else, or its lease has ended."""


class NotIgnoredError(StalkdError):
    """The last tube that is watched cannot be ignored."""


class OutOfMemoryError(StalkdError):
    """The server has no room for the job, in memory, on its disk, or in the tube."""


class ServerError(StalkdError):
    """The server met a fault of its own (INTERNAL_ERROR)."""


class TimedOutError(StalkdError):
    """Nothing came in the time that was given."""


class TubeFullError(OutOfMemoryError):
    """The tube has as many jobs as its policy allows."""


class UnsupportedByServerError(StalkdError):
    """The server does not know the command: it is a plain beanstalkd, or an older stalkd."""


ERRORS: Final[dict[bytes, type[StalkdError]]] = {
    b"BAD_FORMAT": BadFormatError,
    b"DEADLINE_SOON": DeadlineSoonError,
    b"DRAINING": DrainingError,
    b"EXPECTED_CRLF": BadFormatError,
    b"INTERNAL_ERROR": ServerError,
    b"JOB_TOO_BIG": JobTooBigError,
    b"NOT_DURABLE": NotDurableError,
    b"NOT_FOUND": NotFoundError,
    b"NOT_IGNORED": NotIgnoredError,
    b"OUT_OF_MEMORY": OutOfMemoryError,
    b"TIMED_OUT": TimedOutError,
    b"TUBE_FULL": TubeFullError,
    b"UNKNOWN_COMMAND": UnsupportedByServerError,
}
"""The server's words; those that carry a number are read by their requests."""


class ProtocolError(ConnectionError):
    """The server sent what is no reply: the connection cannot be used any more."""


class WrongUseError(RuntimeError):
    """The client is used in a way that would mix up replies: by two threads, or after a fork."""
