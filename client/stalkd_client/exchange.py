"""A command and its reply, as far as all commands are alike."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from stalkd_client.errors import ProtocolError, StalkdError
from stalkd_client.jobs import Job, id_of

T = TypeVar("T")

Reading = Generator[int | None, bytes, T]
"""Reads a reply: yields None for a line and a number for so many bytes, is sent what it asked for
(a line without its CR LF), and returns the result. Raises StalkdError for a refusal, and
ProtocolError for what is no reply."""


@dataclass(slots=True)
class Request(Generic[T]):
    """A command. ``read`` makes the generator that reads its reply.

    ``wait`` is how long the server may take to answer by itself, in seconds, None for ever;
    ``sliced`` makes the same request with another wait. ``again`` says that doing it twice does no
    more than doing it once. ``job`` is the one that must still be held by this connection for it to
    make sense, 0 for none; ``tube`` the one that a use, watch or ignore is about. ``extended`` says
    that plain beanstalkd does not know it, and would take the body of a ``put-with`` for commands.
    """

    verb: str
    data: bytes
    read: Callable[[], Reading[T]]
    wait: float | None = 0.0
    sliced: Callable[[float | None], Request[T]] | None = None
    again: bool = False
    job: Job | int = 0
    tube: str = ""
    extended: bool = False

    @property
    def job_id(self) -> int:
        """The id of ``job``."""
        return id_of(self.job)


class Reply(Generic[T]):
    """A reply that is being read.

    ``wanted`` is what it needs next: so many bytes, None for a line. ``result`` is there when all
    has been taken: what the request gives, or what the server refused it with.
    """

    __slots__ = ("_reading", "request", "result", "wanted")

    def __init__(self, request: Request[T]) -> None:
        """Be at its beginning."""
        self.request: Request[T] = request
        self.result: T | StalkdError
        self._reading = request.read()
        self.wanted = next(self._reading)

    def take(self, data: bytes) -> bool:
        """Take what was wanted; tell whether that was all. Raises ProtocolError."""
        try:
            self.wanted = self._reading.send(data)
        except StopIteration as stop:
            self.result = stop.value
        except StalkdError as error:
            self.result = error
        except (ValueError, LookupError) as error:
            text = f"{self.request.verb}: the server answered {data[:100]!r}"
            raise ProtocolError(text) from error
        else:
            return False
        return True


def _data(request: Request[Any]) -> bytes:
    return request.data


class Exchange:
    """Commands that are sent together, and their replies.

    ``patience`` is how many seconds each reply may take from then on, None: as long as it likes.
    ``was_sent`` and ``done``, how many replies have been read, tell where it was interrupted: it
    goes on from there when it is asked for again.
    """

    __slots__ = ("asked", "data", "done", "patience", "replies", "was_sent")

    def __init__(self, asked: Sequence[Request[Any]], patience: float | None) -> None:
        """Be at its beginning."""
        self.asked: Sequence[Request[Any]] = asked
        self.data: bytes = asked[0].data if len(asked) == 1 else b"".join(map(_data, asked))
        self.patience: float | None = patience
        self.replies: list[Reply[Any]] = []
        self.was_sent: bool = False
        self.done: int = 0

    def expect_replies(self) -> None:
        """Have sent everything; what is done only now costs no time, as the server is at work."""
        self.was_sent = True
        self.replies = [Reply(request) for request in self.asked]
