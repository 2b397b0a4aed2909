"""Where ``--once`` writes: outputs to stdout, records of failures to a file, whole lines only."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Sequence

from stalkd_client.worker.slots.supply import Put

STDOUT, STDERR = 1, 2


class Written:
    """Two files, for all slots. ``failure`` is why nothing more can be written, if that is so.

    ``adds_newline`` is False if outputs end their lines themselves: then only a missing newline is
    added. ``before`` is called before outputs are written.
    """

    def __init__(
        self,
        out: int,
        errors: int | None,
        *,
        adds_newline: bool = True,
        before: Callable[[], None] | None = None,
    ) -> None:
        """Write to these descriptors; ``errors`` None: to none."""
        self.failure: OSError | None = None
        self._out = out
        self._errors = errors
        self._adds_newline = adds_newline
        self._before = before
        self._lock = threading.Lock()

    def store(self, puts: Sequence[Put]) -> None:
        """Write outputs and records; all else has nowhere to go. Raises OSError."""
        outputs = [self._ended(put.body) for put in puts if put.kind == "output"]
        records = [put.body + b"\n" for put in puts if put.kind == "record"]
        with self._lock:
            if self.failure is not None:
                raise self.failure
            if outputs and self._before is not None:
                self._before()
            try:
                _write(self._out, b"".join(outputs))
                if self._errors is not None:
                    _write(self._errors, b"".join(records))
            except OSError as error:
                self.failure = error
                raise

    def _ended(self, body: bytes) -> bytes:
        return body if body.endswith(b"\n") and not self._adds_newline else body + b"\n"


def take_stdout() -> int:
    """Return a descriptor of stdout, which is stderr from now on: handlers may print.

    Children inherit that. Raises OSError.
    """
    ours = os.dup(STDOUT)
    os.dup2(STDERR, STDOUT)
    return ours


def _write(fd: int, data: bytes) -> None:
    """Write all of it, also where that blocks and must not."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            poll.poll()
