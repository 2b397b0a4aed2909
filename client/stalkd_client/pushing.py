"""Pushing many values, in pieces of bounded size."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from stalkd_client.errors import ERRORS, JobTooBigError, ProtocolError, StalkdError

if TYPE_CHECKING:
    from stalkd_client.bodies import Bodies
    from stalkd_client.client import Client
    from stalkd_client.requests import PutForm

PIECE: Final = 10_000
"""Values of a long row that are pushed in one go: what memory holds of it at a time."""

PIECE_BYTES: Final = 16 * 1024 * 1024
"""... and not many more bytes than these."""

AT_ONCE: Final = 100
"""Bodies that are made before their size is looked at: one by one, that takes a tenth longer."""

Keys = Callable[[Any], str]
"""Makes the key of a value."""

Ranges = Callable[[int, int], Iterable[Any]]
"""Makes the values from one number up to, and without, another."""


class PushError(StalkdError):
    """A value was refused in the middle of many. ``pushed`` is how many before it were taken.

    Of those behind it, some may have been taken too: the rest of its piece, of at most PIECE, and
    what other processes push. ``refusal``, the server's own error, is the cause of this one.
    """

    def __init__(self, message: str, pushed: int, refusal: StalkdError | None = None) -> None:
        super().__init__(message)
        self.pushed = pushed
        self.refusal = refusal

    def __reduce__(self) -> tuple[type[PushError], tuple[str, int, StalkdError | None]]:
        return type(self), (str(self), self.pushed, self.refusal)


class PushInterruptedError(ConnectionError):
    """The connection broke while many values were pushed. ``pushed`` is how many were for certain.

    Of those behind them, up to a piece may have been taken, too: nobody knows.
    """

    def __init__(self, message: str, pushed: int) -> None:
        super().__init__(message)
        self.pushed: int = pushed

    def __reduce__(self) -> tuple[type[PushInterruptedError], tuple[str, int]]:
        return type(self), (str(self), self.pushed)


class Pusher:
    """Pushes values with the same options."""

    def __init__(self, client: Client, bodies: Bodies, form: PutForm, key: Keys | None) -> None:
        self._client = client
        self._bodies = bodies
        self._form = form
        self._key = key

    def push(self, values: Iterable[Any], total: int = 0) -> Iterator[list[int]]:
        """Push a row of any length; give the ids of each piece. Raises PushError.

        ``total`` is how many have been pushed before it.
        """
        # All of a piece is made before any of it is sent: what raises, raises outside of it.
        for piece in self._pieces(iter(values)):
            ids = self._pour(piece, total)
            total += len(ids)
            yield ids

    def _pieces(self, values: Iterator[Any]) -> Iterator[list[bytes]]:
        piece: list[bytes] = []
        size = 0
        while commands := self._commands(islice(values, AT_ONCE)):
            piece += commands
            size += sum(map(len, commands))
            if len(piece) >= PIECE or size >= PIECE_BYTES:
                yield piece
                piece, size = [], 0
        if piece:
            yield piece

    def _commands(self, values: Iterable[Any]) -> list[bytes]:
        dumps, fill, key = self._bodies.dumps, self._form.fill, self._key
        if key is None:
            return [fill(dumps(value)) for value in values]
        return [fill(dumps(value), key(value)) for value in values]

    def _pour(self, piece: list[bytes], before: int) -> list[int]:
        lines = self._send(piece, before)
        if self._bodies.spill is not None:
            self._forget_refused(piece, lines)
        ids: list[int] = []
        for line in lines:
            word, _, number = line.partition(b" ")
            if word not in {b"INSERTED", b"EXISTS"}:
                self._refuse(line, before + len(ids))
            ids.append(int(number))
        return ids

    def _send(self, piece: list[bytes], before: int) -> list[bytes]:
        """Send a piece; if it has keys, again and again while the client may go on trying."""
        gives_up: float | None = None
        while True:
            try:
                return self._client.pour(piece, extended=self._form.extended)
            except OSError as error:
                gives_up = gives_up or time.monotonic() + self._client.retry_for
                if self._key is None or time.monotonic() >= gives_up:
                    raise PushInterruptedError(
                        f"after {before} values, and perhaps some of the next {len(piece)}:"
                        f" {error}",
                        before,
                    ) from error

    def _forget_refused(self, piece: list[bytes], lines: list[bytes]) -> None:
        """Remove the files of bodies to which no job refers now."""
        for command, line in zip(piece, lines, strict=True):
            if not line.startswith(b"INSERTED "):
                self._bodies.forget(command.partition(b"\r\n")[2].removesuffix(b"\r\n"))

    def _refuse(self, line: bytes, pushed: int) -> None:
        error = ERRORS.get(line.partition(b" ")[0])
        if error is None:
            raise ProtocolError(f"put: the server answered {line[:100]!r}")
        text = line.decode("latin-1")
        if error is JobTooBigError:
            text = f"{text}: {too_big(self._bodies.limit)}"
        refusal = error(text)
        raise PushError(f"after {pushed} values: {text}", pushed, refusal) from refusal


def too_big(limit: int) -> str:
    """Return what to do about a body that is too large."""
    return (
        f"the server takes at most {limit} bytes (its option -z); with spill=DIR a queue parks"
        " larger bodies in files"
    )
