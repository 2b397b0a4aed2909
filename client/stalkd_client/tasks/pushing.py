"""From calls of a task to jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from stalkd_client.errors import ERRORS, ExistsError, ProtocolError
from stalkd_client.owntubes import new_reply_tube
from stalkd_client.progress import Report
from stalkd_client.pushing import PIECE, PIECE_BYTES, PushError
from stalkd_client.tasks import inlining
from stalkd_client.tasks.arguments import Arguments, blame, check, signature_of
from stalkd_client.tasks.envelope import Envelope
from stalkd_client.tasks.errors import BadArgumentsError
from stalkd_client.tasks.handle import Handle

if TYPE_CHECKING:
    from stalkd_client.tasks.connections import Connections
    from stalkd_client.tasks.options import Options


class Call(NamedTuple):
    """A call that is ready to be sent."""

    body: bytes
    reply: str | None


class Pusher:
    """Pushes the calls of one task.

    ``function`` is its code, None if that is not here; ``refusal`` why no worker could find it.
    """

    def __init__(
        self,
        name: str,
        options: Options,
        connections: Connections,
        function: Callable[..., Any] | None,
        refusal: str,
    ) -> None:
        self._name = name
        self._signature = None if function is None else signature_of(function)
        self._options = options
        self._function = function
        self._queue = options.queue or name
        self._codec = options.find_codec()
        self._form = options.form()
        self._connect = partial(connections.to, options.url)
        self._refusal = refusal

    def _pack(self, given: Arguments) -> Call:
        """Check a call and write it into a job's body. Raises BadArgumentsError."""
        check(self._name, self._signature, given)
        reply = new_reply_tube() if self._options.result else None
        envelope = Envelope(self._name, *given, reply, self._options.result_ttl)
        try:
            return Call(envelope.encode(self._codec), reply)
        except BadArgumentsError:
            blame(self._name, self._signature, given, self._codec)
            raise

    def push(self, given: Arguments) -> Handle[Any]:
        """Push one call."""
        call, options = self._pack(given), self._options
        mode = inlining.current()
        if mode is not None:
            return mode.run(call.body, self._name, options, self._function)
        self._check_name()
        connection = self._connect()
        try:
            job_id = connection.put(self._queue, self._form, call.body, options.key)
        except ExistsError as error:
            is_ours = call.reply is not None and connection.has_put(error.id, call.body)
            # The reply of another's goes to whoever pushed it.
            return self.handle(error.id, call.reply if is_ours else None)
        return self.handle(job_id, call.reply)

    def push_all(self, all_given: Iterable[Arguments], report: Report) -> Iterator[Handle[Any]]:
        """Push many calls, piece by piece; all of a piece are checked before the first is sent."""
        if self._options.key is not None:
            raise ValueError("a key is for one job: of many with the same, one would be pushed")
        total = 0
        for piece in self._pieces(iter(all_given)):
            yield from self._push_piece(piece, total)
            total += len(piece)
            report(total)

    def _pieces(self, rest: Iterator[Arguments]) -> Iterator[list[Call]]:
        before = 0
        while True:
            try:
                piece = list(self._piece(rest))
            except BadArgumentsError as error:
                error.add_note(f"{before} calls had been pushed by then")
                raise
            if not piece:
                return
            yield piece
            before += len(piece)

    def _piece(self, rest: Iterator[Arguments]) -> Iterator[Call]:
        size = 0
        for given in islice(rest, PIECE):
            call = self._pack(given)
            yield call
            size += len(call.body)
            if size >= PIECE_BYTES:
                return

    def _push_piece(self, piece: list[Call], before: int) -> list[Handle[Any]]:
        mode, options = inlining.current(), self._options
        if mode is not None:
            return [mode.run(body, self._name, options, self._function) for body, _ in piece]
        self._check_name()
        lines = self._connect().put_all(self._queue, self._form, [call.body for call in piece])
        ids = _read_ids(lines, before)
        return [self.handle(job_id, call.reply) for job_id, call in zip(ids, piece, strict=True)]

    def _check_name(self) -> None:
        if self._refusal:
            raise ValueError(self._refusal)

    def handle(self, job_id: int, reply: str | None) -> Handle[Any]:
        """Return the handle of a job."""
        return Handle(self._name, job_id, reply, self._connect, self._codec)


def _read_ids(lines: Iterable[bytes], before: int) -> list[int]:
    ids: list[int] = []
    for line in lines:
        word, _, number = line.partition(b" ")
        if word in ERRORS:
            pushed, text = before + len(ids), line.decode("latin-1")
            refusal = ERRORS[word](text)
            raise PushError(f"after {pushed} calls: {text}", pushed, refusal) from refusal
        if word != b"INSERTED":
            raise ProtocolError(f"put: the server answered {line[:100]!r}")
        ids.append(int(number))
    return ids
