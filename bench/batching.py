"""Taking jobs with `reserve-batch`: one request for many of them."""

import re

from bench.control import must_know_extensions
from bench.jobs import Shape
from bench.ledger import Ledger, WrongReply
from bench.load import Conversation
from bench.plans import RESERVED_LINES, Taking
from bench.section import Section
from bench.servers import Target
from bench.throughput import Load, take

_IDS = re.compile(rb"JOB (\d+) ")


class TakingBatches(Taking):
    """The same turns, but the jobs of one are reserved by one request."""

    def conversation(self) -> Conversation:
        """One worker: reserves a batch, reads it, deletes, reads the replies."""
        window, seen = self._window, self._seen
        reserve, lines = b"reserve-batch %d 0\r\n" % window, 1 + RESERVED_LINES * window
        deleted = b"DELETED\r\n" * window
        for _ in self._turns:
            jobs = yield reserve, lines
            seen.append(jobs)
            request = b"".join([b"delete %s\r\n" % job for job in _IDS.findall(jobs)])
            reply = yield request, window
            if reply != deleted:
                raise WrongReply(request, reply)

    def check(self, ledger: Ledger) -> None:
        """Strikes out what was delivered, or raises WrongReply; empties the notes."""
        for reply in self._seen:
            ledger.delivered_batch(reply)
        self._seen.clear()


def take_batches(target: Target, load: Load, shape: Shape) -> Section:
    """Reserves and deletes jobs that were put beforehand, `load.window` of them at a time."""
    must_know_extensions(target)
    return take(target, load, shape, TakingBatches)
